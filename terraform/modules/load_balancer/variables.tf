variable "name" {
  description = "Name of the load balancer, at most 32 characters."
  type        = string

  validation {
    condition     = length(var.name) <= 32
    error_message = "The name of a load balancer has at most 32 characters."
  }
}

variable "vpc_id" {
  description = "VPC of the load balancer."
  type        = string
}

variable "subnet_ids" {
  description = "Its subnets: public ones, unless it is internal."
  type        = list(string)
}

variable "internal" {
  description = "Whether only the VPC and what is connected to it can reach it."
  type        = bool
}

variable "allowed_cidrs" {
  description = "Who may send requests."
  type        = list(string)
}

variable "certificate_arn" {
  description = "Certificate of the name that clients call."
  type        = string
}

variable "port" {
  description = "Port that the targets listen on."
  type        = number
}

variable "access_logs_bucket" {
  description = "Bucket for access logs, null for none."
  type        = string
  default     = null
}

variable "web_acl_arn" {
  description = "WAF's list of rules to put in front, null for none."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether it refuses to be deleted."
  type        = bool
  default     = true
}
