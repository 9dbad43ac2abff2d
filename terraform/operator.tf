# The operators' tool, run as a task when it is needed: migrate before a deployment, doctor, queues, clients, attention, dlq.
module "operator_task" {
  source = "./modules/ecs_task"

  name                = "${local.name}-operator"
  region              = var.region
  account_id          = var.account_id
  image               = var.images.operator
  architecture        = var.architecture
  program             = ["/usr/local/bin/holdfast", "migrate"]
  cpu                 = 256
  memory              = 512
  environment         = local.environment
  secrets             = local.secrets
  secret_kms_key_arns = local.secret_kms_key_arns
  log_retention_days  = var.log_retention_days
  kms_key_arn         = aws_kms_key.this.arn

  # `doctor` and `queues` look at the dead-letter queues too.
  permissions = concat(local.may_submit, local.may_publish, [
    {
      sid       = "Look"
      actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
      resources = local.dead_letter_arns
    },
  ])
}
