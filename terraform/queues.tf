locals {
  queues = jsondecode(file(coalesce(var.queues_file, "${path.module}/queues.json"))).queues

  # A queue with a kind carries commands of that kind. The one without, the journal, takes what is accepted while Postgres
  # is down.
  kinds    = toset([for key, queue in local.queues : key if can(queue.kind)])
  journals = setsubtract(keys(local.queues), local.kinds)

  # What one client sends beyond its share goes by the overflow queue of the kind.
  kind_arns        = concat([for key in local.kinds : module.queue[key].arn], [for key in local.kinds : module.queue[key].overflow_arn])
  journal_arns     = [for key in local.journals : module.queue[key].arn]
  dead_letter_arns = [for key, queue in local.queues : module.queue[key].dead_letter_arn if can(queue.dead_letter)]

  # For those who put commands into queues and take none out: the API, and the operators' redrive.
  may_submit = [
    { sid = "Send", actions = ["sqs:SendMessage"], resources = concat(local.kind_arns, local.journal_arns) },
    {
      sid       = "Find"
      actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
      resources = concat(local.kind_arns, local.journal_arns)
    },
  ]
}

module "queue" {
  source   = "./modules/queue"
  for_each = local.queues

  queue         = each.value
  name_prefix   = var.queue_name_prefix
  alarm_actions = [module.observability.topic_arn]
}
