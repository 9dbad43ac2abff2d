locals {
  api_environment = {
    HOLDFAST__API__LISTEN = "0.0.0.0:${local.port}"
    # Longer than the load balancer takes to notice; then time for the longest GET.
    HOLDFAST__API__DRAIN_MS = "20000"
    HOLDFAST__API__GRACE_MS = "90000"
  }
}

module "load_balancer" {
  source = "./modules/load_balancer"

  name                = local.name
  vpc_id              = module.network.vpc_id
  subnet_ids          = var.internal ? module.network.private_subnet_ids : module.network.public_subnet_ids
  internal            = var.internal
  allowed_cidrs       = var.allowed_cidrs
  certificate_arn     = var.certificate_arn
  port                = local.port
  access_logs_bucket  = var.access_logs_bucket
  web_acl_arn         = var.web_acl_arn
  deletion_protection = var.deletion_protection
}

module "api_task" {
  source = "./modules/ecs_task"

  name                = "${local.name}-api"
  region              = var.region
  account_id          = var.account_id
  image               = var.images.api
  architecture        = var.architecture
  program             = ["/usr/local/bin/holdfast-api"]
  health_check        = var.container_health_checks
  cpu                 = var.api.cpu
  memory              = var.api.memory
  port                = local.port
  environment         = merge(local.api_environment, local.environment)
  secrets             = merge(local.secrets, local.webhook_secrets)
  secret_kms_key_arns = local.secret_kms_key_arns
  permissions         = local.may_submit
  log_retention_days  = var.log_retention_days
  kms_key_arn         = aws_kms_key.this.arn
}

module "api" {
  source = "./modules/ecs_service"

  name                = module.api_task.name
  cluster_arn         = aws_ecs_cluster.this.arn
  task_definition_arn = module.api_task.task_definition_arn
  subnet_ids          = module.network.private_subnet_ids
  security_group_ids  = [module.network.workload_security_group_id, module.load_balancer.target_security_group_id]
  initial_tasks       = var.api.min_tasks

  load_balancer = {
    target_group_arn = module.load_balancer.target_group_arn
    port             = local.port
  }
}

resource "aws_appautoscaling_target" "api" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${module.api.name}"
  min_capacity       = var.api.min_tasks
  max_capacity       = var.api.max_tasks
}

resource "aws_appautoscaling_policy" "api" {
  name               = "${module.api.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.api.service_namespace
  scalable_dimension = aws_appautoscaling_target.api.scalable_dimension
  resource_id        = aws_appautoscaling_target.api.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.api.cpu_target
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
