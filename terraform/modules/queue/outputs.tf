output "name" {
  description = "Name of the queue."
  value       = aws_sqs_queue.this.name
}

output "arn" {
  description = "ARN of the queue."
  value       = aws_sqs_queue.this.arn
}

output "url" {
  description = "URL of the queue."
  value       = aws_sqs_queue.this.url
}

output "overflow_name" {
  description = "Name of its overflow queue, null without one."
  value       = one(aws_sqs_queue.overflow[*].name)
}

output "overflow_arn" {
  description = "ARN of its overflow queue, null without one."
  value       = one(aws_sqs_queue.overflow[*].arn)
}

output "visibility_timeout_seconds" {
  description = "How long a message that was received stays invisible."
  value       = aws_sqs_queue.this.visibility_timeout_seconds
}

output "dead_letter_name" {
  description = "Name of the dead-letter queue, null without one."
  value       = one(aws_sqs_queue.dead_letter[*].name)
}

output "dead_letter_arn" {
  description = "ARN of the dead-letter queue, null without one."
  value       = one(aws_sqs_queue.dead_letter[*].arn)
}

output "dead_letter_url" {
  description = "URL of the dead-letter queue, null without one."
  value       = one(aws_sqs_queue.dead_letter[*].url)
}
