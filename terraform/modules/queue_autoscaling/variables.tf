variable "cluster_name" {
  description = "Name of the ECS cluster."
  type        = string
}

variable "service_name" {
  description = "Name of the ECS service that is scaled."
  type        = string
}

variable "min_tasks" {
  description = "Tasks that always run. With 0 the first message wakes the service."
  type        = number

  validation {
    condition     = var.min_tasks >= 0 && floor(var.min_tasks) == var.min_tasks
    error_message = "min_tasks must be a whole number, 0 or more."
  }
}

variable "max_tasks" {
  description = "Tasks that run at most."
  type        = number

  validation {
    condition     = var.max_tasks >= 1 && var.max_tasks >= var.min_tasks
    error_message = "max_tasks must be at least 1, and at least min_tasks."
  }
}

variable "queues" {
  description = <<-EOT
    What the service consumes. Each queue alone can call for more tasks; fewer run when all agree.
    accepted_delay_seconds: how long a message may wait behind others. concurrency: messages that one task handles at
    once. mean_handling_seconds: what one takes. oldest_message_seconds: an age at which tasks are added whatever the backlog.
  EOT
  type = map(object({
    name                   = string
    accepted_delay_seconds = number
    concurrency            = number
    mean_handling_seconds  = number
    oldest_message_seconds = number
  }))

  validation {
    condition     = length(var.queues) > 0
    error_message = "There must be a queue to go by."
  }

  validation {
    condition = alltrue([
      for queue in var.queues :
      queue.mean_handling_seconds > 0 && queue.concurrency >= 1 && queue.accepted_delay_seconds > 0
    ])
    error_message = "Delay and handling time must be above 0, concurrency at least 1."
  }

  validation {
    condition = alltrue([
      for queue in var.queues : queue.accepted_delay_seconds * queue.concurrency >= queue.mean_handling_seconds
    ])
    error_message = "One message alone takes longer than the delay that is accepted: no number of tasks is enough."
  }

  validation {
    condition     = alltrue([for queue in var.queues : queue.oldest_message_seconds >= queue.accepted_delay_seconds])
    error_message = "oldest_message_seconds must not be below accepted_delay_seconds, or both policies fight."
  }
}

variable "scale_out_cooldown_seconds" {
  description = "Pause after tasks were added."
  type        = number
  default     = 60
}

variable "scale_in_cooldown_seconds" {
  description = "Pause after tasks were taken away."
  type        = number
  default     = 300
}
