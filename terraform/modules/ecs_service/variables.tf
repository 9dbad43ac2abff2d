variable "name" {
  description = "Name of the service, and of the container in its tasks."
  type        = string
}

variable "cluster_arn" {
  description = "ARN of the ECS cluster."
  type        = string
}

variable "task_definition_arn" {
  description = "What the service runs."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of the tasks, in several availability zones."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of the tasks."
  type        = list(string)
}

variable "initial_tasks" {
  description = "Tasks at first; later on scaling says how many."
  type        = number
}

variable "load_balancer" {
  description = "Who sends requests to which port; null for a service that listens on none."
  type = object({
    target_group_arn = string
    port             = number
  })
  default = null
}
