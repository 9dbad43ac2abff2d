variable "name" {
  description = "Name of the function, its role and log group."
  type        = string
}

variable "account_id" {
  description = "Account that the function runs in."
  type        = string
}

variable "image" {
  description = "Image by digest, in ECR: Lambda takes it from nowhere else."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com/[^@]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image must be in ECR and pinned by its digest: account.dkr.ecr.region.amazonaws.com/name@sha256:…"
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

variable "queue" {
  description = "What it consumes. Visibility is that of the queue."
  type = object({
    arn                        = string
    overflow_arn               = optional(string)
    visibility_timeout_seconds = number
  })
}

variable "timeout_seconds" {
  description = "Longest time for a batch."
  type        = number
  default     = 5

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900
    error_message = "A function may take 1 to 900 s."
  }
}

variable "memory" {
  description = "Memory in MiB; CPU goes with it."
  type        = number
  default     = 512
}

variable "batch_size" {
  description = "Messages that one call gets at most."
  type        = number
  default     = 10

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10
    error_message = "Without a batching window a batch has 1 to 10 messages."
  }
}

variable "max_concurrency" {
  description = "Calls at a time. Each has connections to Postgres of its own."
  type        = number

  validation {
    condition     = var.max_concurrency >= 2 && var.max_concurrency <= 1000
    error_message = "An SQS event source runs 2 to 1000 calls at a time."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the function."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of the function."
  type        = list(string)
}

variable "environment" {
  description = "Plain settings."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Settings by the ARN of their secret, with :key:: behind it for one key of a JSON secret. Lambda does not resolve these: the function gets the ARNs in HOLDFAST_SECRETS and reads them when it starts."
  type        = map(string)
  default     = {}
}

variable "secret_kms_key_arns" {
  description = "Keys that the secrets are encrypted with, where these are not AWS's own."
  type        = list(string)
  default     = []
}

variable "send_queue_arns" {
  description = "Queues that it may send to."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that logs and environment are encrypted with."
  type        = string
}
