output "dns_name" {
  description = "Name that the clients' name points to."
  value       = aws_lb.this.dns_name
}

output "target_security_group_id" {
  description = "For the targets: lets in the load balancer only."
  value       = aws_security_group.targets.id
}

output "arn_suffix" {
  description = "How CloudWatch calls the load balancer."
  value       = aws_lb.this.arn_suffix
}

output "target_group_arn_suffix" {
  description = "How CloudWatch calls the target group."
  value       = aws_lb_target_group.this.arn_suffix
}

output "target_group_arn" {
  description = "Where targets register. ECS refuses a target group that no listener forwards to."
  value       = aws_lb_target_group.this.arn
  depends_on  = [aws_lb_listener.https]
}
