variable "name" {
  description = "Name of the task family, of its container, roles and log group."
  type        = string
}

variable "region" {
  description = "Region of the logs."
  type        = string
}

variable "account_id" {
  description = "Account that the tasks run in."
  type        = string
}

variable "image" {
  description = "Image by digest: a tag may mean something else tomorrow, on one host of several."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image must be pinned by its digest: name@sha256:…"
  }
}

variable "program" {
  description = "What the container runs, with its arguments."
  type        = list(string)

  validation {
    condition     = length(var.program) > 0
    error_message = "There must be a program."
  }
}

variable "health_check" {
  description = "Whether ECS runs the program with the argument healthcheck to see whether it lives."
  type        = bool
  default     = false
}

variable "cpu" {
  description = "CPU units; 1024 are one vCPU."
  type        = number

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.cpu)
    error_message = "Fargate knows 256, 512, 1024, 2048, 4096, 8192 and 16384 CPU units."
  }
}

variable "memory" {
  description = "Memory in MiB. Fargate allows twice to eight times as many as CPU units."
  type        = number

  validation {
    condition     = var.memory >= 2 * var.cpu && var.memory <= 8 * var.cpu
    error_message = "Fargate allows between two and eight MiB for each CPU unit."
  }
}

variable "architecture" {
  description = "X86_64 or ARM64, as the image was built."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "The architecture is X86_64 or ARM64."
  }
}

variable "port" {
  description = "Port that the container listens on, null for none."
  type        = number
  default     = null
}

variable "environment" {
  description = "Plain settings. Whoever may describe tasks can read them."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name, value in var.environment :
      !can(regex("(SECRET|PASSWORD|SERVER_KEY|AUTH_HEADER|ENCRYPTION__KEYS__.*)$", upper(name))) && !can(regex("://[^/@]*:[^/@]*@", value))
    ])
    error_message = "Credentials belong into secrets, not into the plain environment."
  }
}

variable "secrets" {
  description = "Environment variables by the ARN of their secret, with :key:: behind it for one key of a JSON secret."
  type        = map(string)
  default     = {}
}

variable "secret_kms_key_arns" {
  description = "Keys that the secrets are encrypted with, where these are not AWS's own."
  type        = list(string)
  default     = []
}

variable "permissions" {
  description = "What the program itself may do."
  type = list(object({
    sid       = string
    actions   = list(string)
    resources = list(string)
  }))
  default = []

  validation {
    condition     = alltrue([for one in var.permissions : !anytrue([for action in one.actions : strcontains(action, "*")])])
    error_message = "Actions are named one by one."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that logs are encrypted with."
  type        = string
}
