locals {
  name            = "${var.name_prefix}${var.queue.name}"
  is_fifo         = endswith(var.queue.name, ".fifo")
  dead_letter     = var.queue.dead_letter
  has_dead_letter = local.dead_letter != null

  # Who has a dead-letter queue has an overflow queue too: it takes what one client sends beyond its share.
  redrive_policy = local.has_dead_letter ? jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter[0].arn
    maxReceiveCount     = var.queue.max_receive_count
  }) : null
  overflow_name = local.is_fifo ? "${trimsuffix(local.name, ".fifo")}-overflow.fifo" : "${local.name}-overflow"
  all           = concat([aws_sqs_queue.this], aws_sqs_queue.overflow)
}

resource "aws_sqs_queue" "this" {
  name                       = local.name
  fifo_queue                 = local.is_fifo
  visibility_timeout_seconds = var.queue.visibility_timeout_seconds
  message_retention_seconds  = var.queue.message_retention_seconds
  receive_wait_time_seconds  = var.queue.receive_wait_time_seconds
  sqs_managed_sse_enabled    = true

  redrive_policy = local.redrive_policy
}

resource "aws_sqs_queue" "overflow" {
  count = local.has_dead_letter ? 1 : 0

  name                       = local.overflow_name
  fifo_queue                 = local.is_fifo
  visibility_timeout_seconds = var.queue.visibility_timeout_seconds
  message_retention_seconds  = var.queue.message_retention_seconds
  receive_wait_time_seconds  = var.queue.receive_wait_time_seconds
  sqs_managed_sse_enabled    = true
  redrive_policy             = local.redrive_policy
}

resource "aws_sqs_queue" "dead_letter" {
  count = local.has_dead_letter ? 1 : 0

  name                      = "${var.name_prefix}${local.dead_letter.name}"
  fifo_queue                = local.is_fifo
  message_retention_seconds = local.dead_letter.message_retention_seconds
  receive_wait_time_seconds = var.queue.receive_wait_time_seconds
  sqs_managed_sse_enabled   = true

  lifecycle {
    # Retention counts from the first send, also in here: with less, letters would expire as they arrive.
    precondition {
      condition     = local.dead_letter.message_retention_seconds > var.queue.message_retention_seconds
      error_message = "${local.dead_letter.name} must keep messages for longer than ${var.queue.name}."
    }
  }
}

# A resource of its own, because the queues name each other.
resource "aws_sqs_queue_redrive_allow_policy" "dead_letter" {
  count = local.has_dead_letter ? 1 : 0

  queue_url = aws_sqs_queue.dead_letter[0].id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [for queue in local.all : queue.arn]
  })
}

resource "aws_sqs_queue_policy" "tls_only" {
  for_each = merge(
    { source = aws_sqs_queue.this },
    local.has_dead_letter ? { dead_letter = aws_sqs_queue.dead_letter[0], overflow = aws_sqs_queue.overflow[0] } : {},
  )

  queue_url = each.value.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RefuseWhatIsNotEncryptedInTransit"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_cloudwatch_metric_alarm" "age" {
  count = var.alarms_enabled ? 1 : 0

  alarm_name          = "${local.name}-age"
  alarm_description   = "The oldest message of ${local.name} has waited for more than ${var.queue.alarm_age_seconds} s: workers are missing, or do not get on."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = local.name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.queue.alarm_age_seconds
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}

# On what is visible. NumberOfMessagesSent does not count what SQS itself moves here.
resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  count = var.alarms_enabled && local.has_dead_letter ? 1 : 0

  alarm_name          = "${local.name}-dead-letters"
  alarm_description   = "Messages of ${local.name} were received ${var.queue.max_receive_count} times and lie in its dead-letter queue."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letter[0].name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}
