output "name" {
  description = "Name of the family and of the container."
  value       = aws_ecs_task_definition.this.family
}

output "task_definition_arn" {
  description = "ARN of this revision of the task definition."
  value       = aws_ecs_task_definition.this.arn
}

output "log_group_name" {
  description = "Where the program's logs are."
  value       = aws_cloudwatch_log_group.this.name
}

output "task_policy" {
  description = "What the program may do, as IAM reads it; null if nothing."
  value       = one(aws_iam_role_policy.task[*].policy)
}

output "execution_policy" {
  description = "What ECS may do to start it, as IAM reads it."
  value       = aws_iam_role_policy.execution.policy
}

output "container_definitions" {
  description = "The container, as ECS reads it."
  value       = aws_ecs_task_definition.this.container_definitions
}
