output "backlog_per_task" {
  description = "Messages per task that each queue is held at."
  value       = local.backlog_per_task
}

output "alarm_names" {
  description = "Alarms that scale; nobody needs to be told of them."
  value = concat(
    values(aws_cloudwatch_metric_alarm.age)[*].alarm_name,
    values(aws_cloudwatch_metric_alarm.wake)[*].alarm_name,
  )
}
