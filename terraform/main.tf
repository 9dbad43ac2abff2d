provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      Project     = "holdfast"
      Environment = var.environment
    }
  }
}

locals {
  name = "holdfast-${var.environment}"
  port = 8080
}

module "network" {
  source = "./modules/network"

  name                      = local.name
  region                    = var.region
  account_id                = var.account_id
  cidr                      = var.vpc_cidr
  availability_zones        = var.availability_zones
  nat_per_availability_zone = var.nat_per_availability_zone
  interface_endpoints       = var.interface_endpoints
  log_retention_days        = var.log_retention_days
  kms_key_arn               = aws_kms_key.this.arn
}

module "database" {
  source = "./modules/database"

  name                     = local.name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.database_subnet_ids
  client_security_group_id = module.network.workload_security_group_id
  engine_version           = var.database.engine_version
  instance_class           = var.database.instance_class
  instances                = var.database.instances
  max_connections          = var.database.max_connections
  expected_connections     = local.expected_connections
  backup_retention_days    = var.database.backup_retention_days
  password_rotation_days   = var.database.password_rotation_days
  deletion_protection      = var.deletion_protection
  kms_key_arn              = aws_kms_key.this.arn
}

resource "aws_ecs_cluster" "this" {
  name = local.name

  # Scaling goes by its count of running tasks.
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

module "observability" {
  source = "./modules/observability"

  name               = local.name
  region             = var.region
  account_id         = var.account_id
  kms_key_arn        = aws_kms_key.this.arn
  emails             = var.alarm_emails
  cluster_name       = aws_ecs_cluster.this.name
  journal_queue_name = try(module.queue["journal"].name, null)

  queues = { for key, queue in module.queue : key => {
    name             = queue.name
    overflow_name    = queue.overflow_name
    dead_letter_name = queue.dead_letter_name
  } }

  services = merge(
    { (module.api.name) = { min_tasks = var.api.min_tasks, log_group_name = module.api_task.log_group_name } },
    { for key, worker in local.workers : module.worker[key].name => {
      min_tasks      = worker.min_tasks
      log_group_name = module.worker_task[key].log_group_name
    } },
  )

  load_balancer = {
    arn_suffix              = module.load_balancer.arn_suffix
    target_group_arn_suffix = module.load_balancer.target_group_arn_suffix
  }

  database = {
    cluster_id      = module.database.cluster_id
    max_connections = var.database.max_connections
  }
}
