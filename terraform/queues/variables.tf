variable "region" {
  description = "Region of the queues."
  type        = string
  default     = "eu-west-1"
}

variable "endpoint" {
  description = "Address of an SQS emulator; null for AWS."
  type        = string
  default     = null

  validation {
    condition     = var.endpoint == null || can(regex("^https?://", var.endpoint))
    error_message = "The endpoint is a URL."
  }
}

variable "name_prefix" {
  description = "Put in front of every name."
  type        = string
  default     = ""
}

variable "alarms_enabled" {
  description = "Whether to watch the queues; off for an emulator without CloudWatch."
  type        = bool
  default     = true
}

variable "alarm_actions" {
  description = "ARNs of the SNS topics that alarms are sent to."
  type        = list(string)
  default     = []
}

variable "skip_credentials_validation" {
  description = "On for an emulator: credentials are not checked with STS."
  type        = bool
  default     = false
}

variable "skip_requesting_account_id" {
  description = "On for an emulator: the account is not asked for."
  type        = bool
  default     = false
}

variable "skip_metadata_api_check" {
  description = "On for an emulator: no metadata service is looked for."
  type        = bool
  default     = false
}

variable "skip_region_validation" {
  description = "On for an emulator whose region AWS does not know."
  type        = bool
  default     = false
}
