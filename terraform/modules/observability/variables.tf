variable "name" {
  description = "Put in front of names."
  type        = string
}

variable "region" {
  description = "Region of the metrics."
  type        = string
}

variable "account_id" {
  description = "Account of the alarms."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that notifications are encrypted with."
  type        = string
}

variable "emails" {
  description = "Who is told of alarms."
  type        = set(string)
}

variable "queues" {
  description = "Queues of the dashboard, with their dead-letter queue or null."
  type = map(object({
    name             = string
    overflow_name    = optional(string)
    dead_letter_name = string
  }))
}

variable "journal_queue_name" {
  description = "Queue that takes what is accepted while Postgres is down; null if there is none."
  type        = string
  default     = null
}

variable "cluster_name" {
  description = "ECS cluster of the services."
  type        = string
}

variable "services" {
  description = "Services by their name, with the tasks that must run and the group of their logs."
  type = map(object({
    min_tasks      = number
    log_group_name = string
  }))
}

variable "load_balancer" {
  description = "How CloudWatch calls load balancer and target group."
  type = object({
    arn_suffix              = string
    target_group_arn_suffix = string
  })
}

variable "database" {
  description = "The cluster, and the connections that it takes."
  type = object({
    cluster_id      = string
    max_connections = number
  })
}
