output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "log_group_name" {
  description = "Where the function's logs are."
  value       = aws_cloudwatch_log_group.this.name
}

output "policy" {
  description = "What the function may do, as IAM reads it."
  value       = aws_iam_role_policy.this.policy
}
