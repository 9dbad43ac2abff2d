variable "queue" {
  description = "An entry of queues.json; attributes that are not named here are somebody else's. A name that ends in .fifo makes a FIFO queue."
  type = object({
    name                       = string
    visibility_timeout_seconds = optional(number, 30)
    message_retention_seconds  = optional(number, 86400)
    receive_wait_time_seconds  = optional(number, 20)
    max_receive_count          = optional(number, 3)
    alarm_age_seconds          = optional(number, 300)
    dead_letter = optional(object({
      name                      = string
      message_retention_seconds = optional(number, 1209600)
    }))
  })

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,75}(\\.fifo)?$", var.queue.name))
    error_message = "A queue name has 1 to 75 letters, digits, hyphens and underscores, and .fifo at its end if it is FIFO."
  }

  validation {
    condition     = var.queue.visibility_timeout_seconds >= 1 && var.queue.visibility_timeout_seconds <= 43200
    error_message = "visibility_timeout_seconds must be between 1 and 43200."
  }

  validation {
    condition     = var.queue.message_retention_seconds >= 60 && var.queue.message_retention_seconds <= 1209600
    error_message = "message_retention_seconds must be between 60 and 1209600 (14 days)."
  }

  validation {
    condition     = var.queue.receive_wait_time_seconds >= 0 && var.queue.receive_wait_time_seconds <= 20
    error_message = "receive_wait_time_seconds must be between 0 and 20."
  }

  validation {
    condition     = var.queue.max_receive_count >= 1 && var.queue.max_receive_count <= 1000
    error_message = "max_receive_count must be between 1 and 1000."
  }

  validation {
    condition     = var.queue.dead_letter != null || var.queue.message_retention_seconds == 1209600
    error_message = "What a queue without a dead-letter queue lets expire is gone: it must keep messages for the full 14 days (1209600)."
  }

  validation {
    condition     = try(endswith(var.queue.dead_letter.name, ".fifo") == endswith(var.queue.name, ".fifo"), true)
    error_message = "The dead-letter queue of a FIFO queue must be FIFO too, and only that one."
  }
}

variable "name_prefix" {
  description = "Put in front of the names, where several deployments share an account."
  type        = string
  default     = ""
}

variable "alarms_enabled" {
  description = "Whether to watch the queue. Off for an emulator that has no CloudWatch."
  type        = bool
  default     = true
}

variable "alarm_actions" {
  description = "ARNs of the SNS topics that alarms are sent to."
  type        = list(string)
  default     = []
}
