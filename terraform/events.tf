# A queue with what others are told of every command, where one is wanted (docs/events.md). Other sinks are settings.
locals {
  has_events    = var.events_queue != null
  events_name   = local.has_events ? "${var.queue_name_prefix}${var.events_queue.name}" : ""
  events_fifo   = endswith(local.events_name, ".fifo")
  events_suffix = local.events_fifo ? ".fifo" : ""

  # Every program knows the sinks: whoever archives waits for them.
  events_settings = local.has_events ? {
    HOLDFAST__EVENTS__SINKS__QUEUE__TYPE  = "sqs"
    HOLDFAST__EVENTS__SINKS__QUEUE__QUEUE = local.events_name
  } : {}

  # For who publishes, and for operators, who send a stretch of time again.
  may_publish = local.has_events ? [{
    sid       = "Publish"
    actions   = ["sqs:GetQueueUrl", "sqs:SendMessage"]
    resources = [aws_sqs_queue.events[0].arn]
  }] : []
}

resource "aws_sqs_queue" "events" {
  count = local.has_events ? 1 : 0

  name                       = local.events_name
  fifo_queue                 = local.events_fifo
  visibility_timeout_seconds = var.events_queue.visibility_timeout_seconds
  message_retention_seconds  = var.events_queue.message_retention_seconds
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.events_dead_letter[0].arn
    maxReceiveCount     = var.events_queue.max_receive_count
  })
}

resource "aws_sqs_queue" "events_dead_letter" {
  count = local.has_events ? 1 : 0

  name                      = "${trimsuffix(local.events_name, ".fifo")}-dlq${local.events_suffix}"
  fifo_queue                = local.events_fifo
  message_retention_seconds = 1209600
  receive_wait_time_seconds = 20
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "events_tls_only" {
  for_each = local.has_events ? { source = aws_sqs_queue.events[0], dead_letter = aws_sqs_queue.events_dead_letter[0] } : {}

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
