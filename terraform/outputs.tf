output "load_balancer_dns_name" {
  description = "What the name that clients call must point to."
  value       = module.load_balancer.dns_name
}

output "nat_public_ips" {
  description = "Where partners and clients see our requests come from."
  value       = module.network.nat_public_ips
}

output "queues" {
  description = "Names of the queues by their key."
  value       = { for key, queue in module.queue : key => queue.name }

  precondition {
    condition     = alltrue([for queue in local.queues : try(queue.dead_letter.name, "${queue.name}-dlq") == "${queue.name}-dlq"])
    error_message = "The binaries find a dead-letter queue by the name of its queue and -dlq."
  }
}

output "policies" {
  description = "What each program may do, as IAM reads it."
  value = merge(
    { api = module.api_task.task_policy, operator = module.operator_task.task_policy },
    { for key, task in module.worker_task : "worker-${key}" => task.task_policy },
    { for key, function in module.lambda_worker : "lambda-${key}" => function.policy },
  )
}

output "database_secret_arn" {
  description = "Secret with the owner's username and password."
  value       = module.database.secret_arn
}

output "alarm_topic_arn" {
  description = "Where alarms are sent."
  value       = module.observability.topic_arn
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = module.observability.dashboard_name
}

output "run_operator_task" {
  description = "Runs holdfast migrate; with --overrides any other command of the operators' tool."
  value = join(" ", [
    "aws ecs run-task --region ${var.region} --launch-type FARGATE",
    "--cluster ${aws_ecs_cluster.this.name} --task-definition ${module.operator_task.name}",
    "--network-configuration 'awsvpcConfiguration={subnets=[${join(",", module.network.private_subnet_ids)}],securityGroups=[${module.network.workload_security_group_id}]}'",
  ])
}
