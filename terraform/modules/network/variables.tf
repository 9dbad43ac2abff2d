variable "name" {
  description = "Put in front of names."
  type        = string
}

variable "region" {
  description = "Region of the VPC."
  type        = string
}

variable "account_id" {
  description = "Account of the VPC."
  type        = string
}

variable "cidr" {
  description = "Addresses of the VPC, a /16 to /20."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "The VPC needs a CIDR block between /16 and /20."
  }
}

variable "availability_zones" {
  description = "Two to four zones."
  type        = list(string)

  validation {
    condition     = length(distinct(var.availability_zones)) == length(var.availability_zones) && length(var.availability_zones) >= 2 && length(var.availability_zones) <= 4
    error_message = "There must be two, three or four different availability zones."
  }
}

variable "nat_per_availability_zone" {
  description = "Whether each zone has its own NAT gateway. With one for all, its zone takes the way to the partners with it."
  type        = bool
}

variable "interface_endpoints" {
  description = "AWS services that are reached without leaving the VPC."
  type        = set(string)
}

variable "log_retention_days" {
  description = "How long flow logs are kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that flow logs are encrypted with."
  type        = string
}
