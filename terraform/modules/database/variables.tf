variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the cluster."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the cluster, in several availability zones."
  type        = list(string)
}

variable "client_security_group_id" {
  description = "Who may connect."
  type        = string
}

variable "engine_version" {
  description = "Version of Aurora PostgreSQL."
  type        = string

  validation {
    condition     = can(regex("^1[5-9]\\.[0-9]+$", var.engine_version))
    error_message = "Aurora PostgreSQL 15 or newer, such as 16.6."
  }
}

variable "instance_class" {
  description = "Class of each instance."
  type        = string
}

variable "instances" {
  description = "One writer and the rest readers to fail over to."
  type        = number

  validation {
    condition     = var.instances >= 1 && var.instances <= 16
    error_message = "A cluster has 1 to 16 instances."
  }
}

variable "max_connections" {
  description = "Connections that the server takes."
  type        = number
}

variable "expected_connections" {
  description = "Connections that all clients together may open."
  type        = number
}

variable "backup_retention_days" {
  description = "How far back the cluster can be restored."
  type        = number

  validation {
    condition     = var.backup_retention_days >= 7 && var.backup_retention_days <= 35
    error_message = "Backups are kept for 7 to 35 days."
  }
}

variable "password_rotation_days" {
  description = "Days between changes of the password, null for AWS's own 7. Tasks read it when they start, so each change needs a new deployment."
  type        = number
  default     = null
}

variable "deletion_protection" {
  description = "Whether the cluster refuses to be deleted."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "Key that data, backups and the password are encrypted with."
  type        = string
}
