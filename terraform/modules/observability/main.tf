locals {
  load_balancer = { LoadBalancer = var.load_balancer.arn_suffix }
  targets       = merge(local.load_balancer, { TargetGroup = var.load_balancer.target_group_arn_suffix })
  database      = { DBClusterIdentifier = var.database.cluster_id }
  log_metrics   = "Holdfast/${var.name}"

  # There is none on latency: a GET may wait for a minute because its client asked for that.
  alarms = merge(
    {
      api-errors = {
        description = "The API answers 5xx: a 503 to a POST means that neither Postgres nor SQS took a command."
        namespace   = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", dimensions = local.load_balancer
        statistic   = "Sum", operator = "GreaterThanThreshold", threshold = 5, minutes = 1, missing = "notBreaching"
      }
      api-unreachable = {
        description = "The load balancer itself answers 5xx: no API took the request, or it did not answer in time."
        namespace   = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = local.load_balancer
        statistic   = "Sum", operator = "GreaterThanThreshold", threshold = 5, minutes = 1, missing = "notBreaching"
      }
      api-no-targets = {
        description = "No API is healthy."
        namespace   = "AWS/ApplicationELB", metric = "HealthyHostCount", dimensions = local.targets
        statistic   = "Maximum", operator = "LessThanThreshold", threshold = 1, minutes = 1, missing = "breaching"
      }
      database-cpu = {
        description = "Postgres has computed at over 80 % for a quarter of an hour."
        namespace   = "AWS/RDS", metric = "CPUUtilization", dimensions = local.database
        statistic   = "Average", operator = "GreaterThanThreshold", threshold = 80, minutes = 15, missing = "missing"
      }
      database-memory = {
        description = "Less than 256 MiB of Postgres' memory are free."
        namespace   = "AWS/RDS", metric = "FreeableMemory", dimensions = local.database
        statistic   = "Minimum", operator = "LessThanThreshold", threshold = 268435456, minutes = 10, missing = "missing"
      }
      database-connections = {
        description = "Four fifths of Postgres' connections are taken."
        namespace   = "AWS/RDS", metric = "DatabaseConnections", dimensions = local.database
        statistic   = "Maximum", operator = "GreaterThanThreshold", threshold = floor(0.8 * var.database.max_connections), minutes = 5, missing = "missing"
      }
      database-transaction-ids = {
        description = "Transaction ids run out: vacuuming does not keep up."
        namespace   = "AWS/RDS", metric = "MaximumUsedTransactionIDs", dimensions = local.database
        statistic   = "Maximum", operator = "GreaterThanThreshold", threshold = 1000000000, minutes = 5, missing = "missing"
      }
      errors = {
        description = "Something was logged as an error: somebody must act."
        namespace   = local.log_metrics, metric = "Errors", dimensions = {}
        statistic   = "Sum", operator = "GreaterThanThreshold", threshold = 0, minutes = 1, missing = "notBreaching"
      }
      # The worker empties the dead-letter queues within seconds, so that an alarm on what lies in them may see nothing.
      dead-letters = {
        description = "Messages came back too often and were stored as letters: see holdfast dlq list."
        namespace   = local.log_metrics, metric = "DeadLetters", dimensions = {}
        statistic   = "Sum", operator = "GreaterThanThreshold", threshold = 0, minutes = 1, missing = "notBreaching"
      }
    },
    var.journal_queue_name == null ? {} : {
      journal-used = {
        description = "Commands were accepted without Postgres. They are kept, but after 7 days of outage no more are taken."
        namespace   = "AWS/SQS", metric = "NumberOfMessagesSent", dimensions = { QueueName = var.journal_queue_name }
        statistic   = "Sum", operator = "GreaterThanThreshold", threshold = 0, minutes = 1, missing = "notBreaching"
      }
    },
    {
      for name, service in var.services : "${name}-tasks" => {
        description = "Fewer than ${service.min_tasks} tasks of ${name} run."
        namespace   = "ECS/ContainerInsights", metric = "RunningTaskCount", dimensions = { ClusterName = var.cluster_name, ServiceName = name }
        statistic   = "Maximum", operator = "LessThanThreshold", threshold = service.min_tasks, minutes = 5, missing = "breaching"
      } if service.min_tasks > 0
    },
  )

  log_filters = merge([
    for name, service in var.services : {
      "${name}-errors"       = { group = service.log_group_name, metric = "Errors", pattern = "{ $.level = \"ERROR\" }" }
      "${name}-dead-letters" = { group = service.log_group_name, metric = "DeadLetters", pattern = "{ $.message = \"dead letter\" }" }
    }
  ]...)
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsOfThisAccount"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
      },
      {
        Sid       = "RefuseWhatIsNotEncryptedInTransit"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.log_filters

  name           = each.key
  log_group_name = each.value.group
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.log_metrics
    name      = each.value.metric
    value     = "1"
    unit      = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${trimprefix(each.key, "${var.name}-")}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({ widgets = local.widgets })
}
