locals {
  layouts = {
    # Who reads the journal drains the dead-letter queues too, and publishes events for others.
    per_queue = { for key in keys(local.queues) : key => {
      queues       = toset([key])
      dead_letters = contains(local.journals, key)
    } }
    one = { all = {
      queues       = toset(keys(local.queues))
      dead_letters = true
    } }
  }

  workers = { for name, worker in local.layouts[var.worker_layout] : name => {
    queues       = worker.queues
    dead_letters = worker.dead_letters
    sources      = concat(sort(worker.queues), worker.dead_letters ? ["dead-letters", "events"] : [])
    cpu          = coalesce(try(var.worker_overrides[name].cpu, null), var.worker.cpu)
    memory       = coalesce(try(var.worker_overrides[name].memory, null), var.worker.memory)
    max_tasks    = coalesce(try(var.worker_overrides[name].max_tasks, null), var.worker.max_tasks)
    min_tasks = max(
      coalesce(try(var.worker_overrides[name].min_tasks, null), var.worker.min_tasks),
      # Dead letters wake nobody.
      worker.dead_letters ? 1 : 0,
    )
  } }

  consumed_arns = { for name, worker in local.workers : name => concat(
    [for key in worker.queues : module.queue[key].arn],
    [for key in worker.queues : module.queue[key].overflow_arn if contains(local.kinds, key)],
    worker.dead_letters ? local.dead_letter_arns : [],
  ) }
}

module "worker_task" {
  source   = "./modules/ecs_task"
  for_each = local.workers

  name                = "${local.name}-worker-${each.key}"
  region              = var.region
  account_id          = var.account_id
  image               = var.images.worker
  architecture        = var.architecture
  program             = ["/usr/local/bin/holdfast-worker"]
  health_check        = var.container_health_checks
  cpu                 = each.value.cpu
  memory              = each.value.memory
  environment         = merge(local.environment, { HOLDFAST_QUEUES = join(",", each.value.sources) })
  secrets             = merge(local.secrets, local.partner_credentials)
  secret_kms_key_arns = local.secret_kms_key_arns
  log_retention_days  = var.log_retention_days
  kms_key_arn         = aws_kms_key.this.arn

  permissions = concat([
    {
      sid       = "Consume"
      actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"]
      resources = local.consumed_arns[each.key]
    },
    # Overdue work is published by every worker, whatever its kind.
    { sid = "Send", actions = ["sqs:SendMessage"], resources = local.kind_arns },
    {
      sid       = "Find"
      actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
      resources = distinct(concat(local.consumed_arns[each.key], local.kind_arns))
    },
  ], each.value.dead_letters ? local.may_publish : [])
}

module "worker" {
  source   = "./modules/ecs_service"
  for_each = local.workers

  name                = module.worker_task[each.key].name
  cluster_arn         = aws_ecs_cluster.this.arn
  task_definition_arn = module.worker_task[each.key].task_definition_arn
  subnet_ids          = module.network.private_subnet_ids
  security_group_ids  = [module.network.workload_security_group_id]
  initial_tasks       = each.value.min_tasks
}

module "worker_scaling" {
  source   = "./modules/queue_autoscaling"
  for_each = local.workers

  cluster_name = aws_ecs_cluster.this.name
  service_name = module.worker[each.key].name
  min_tasks    = each.value.min_tasks
  max_tasks    = each.value.max_tasks
  queues = merge(
    { for key in each.value.queues : key => merge(local.queues[key].scaling, { name = module.queue[key].name }) },
    { for key in each.value.queues : "${key}-overflow" => merge(local.queues[key].scaling, { name = module.queue[key].overflow_name }) if contains(local.kinds, key) },
  )
}

module "lambda_worker" {
  source   = "./modules/lambda_worker"
  for_each = var.lambda_workers

  name                = "${local.name}-lambda-${each.key}"
  account_id          = var.account_id
  image               = each.value.image
  architecture        = var.architecture
  timeout_seconds     = each.value.timeout_seconds
  memory              = each.value.memory
  max_concurrency     = each.value.max_concurrency
  subnet_ids          = module.network.private_subnet_ids
  security_group_ids  = [module.network.workload_security_group_id]
  environment         = { for name, value in local.environment : name => value if name != "AWS_REGION" }
  secrets             = merge(local.secrets, local.partner_credentials)
  secret_kms_key_arns = local.secret_kms_key_arns
  send_queue_arns     = local.kind_arns
  log_retention_days  = var.log_retention_days
  kms_key_arn         = aws_kms_key.this.arn

  queue = {
    arn                        = module.queue[each.key].arn
    overflow_arn               = module.queue[each.key].overflow_arn
    visibility_timeout_seconds = module.queue[each.key].visibility_timeout_seconds
  }
}
