output "cluster_id" {
  description = "Name of the cluster."
  value       = aws_rds_cluster.this.cluster_identifier
}

output "host" {
  description = "Name of the writer."
  value       = aws_rds_cluster.this.endpoint
}

output "port" {
  description = "Port of the writer."
  value       = aws_rds_cluster.this.port
}

output "database" {
  description = "Name of the database."
  value       = aws_rds_cluster.this.database_name
}

output "secret_arn" {
  description = "Secret with username and password, which RDS makes and changes."
  value       = aws_rds_cluster.this.master_user_secret[0].secret_arn
}
