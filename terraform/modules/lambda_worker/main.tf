locals {
  queue_arns  = compact([var.queue.arn, var.queue.overflow_arn])
  secret_arns = distinct([for arn in values(var.secrets) : join(":", slice(split(":", arn), 0, 7))])

  statements = concat(
    [
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
      },
      {
        # What the event source does in the function's name.
        Sid      = "Consume"
        Effect   = "Allow"
        Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        Resource = local.queue_arns
      },
      {
        # Decided by Lambda, which names no resources for interfaces that do not exist yet.
        Sid    = "JoinTheNetwork"
        Effect = "Allow"
        Action = [
          "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
          "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
        ]
        Resource = ["*"]
      },
    ],
    length(var.send_queue_arns) == 0 ? [] : [{
      Sid      = "Send"
      Effect   = "Allow"
      Action   = ["sqs:GetQueueUrl", "sqs:SendMessage"]
      Resource = var.send_queue_arns
    }],
    length(var.secrets) == 0 ? [] : [{
      Sid      = "ReadSecrets"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = local.secret_arns
    }],
    length(var.secret_kms_key_arns) == 0 ? [] : [{
      Sid      = "DecryptSecrets"
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = var.secret_kms_key_arns
    }],
  )
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "this" {
  name = var.name
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name   = "work"
  role   = aws_iam_role.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_115:The event source bounds how many run at a time; a reservation would turn the rest into throttled receives.
  #checkov:skip=CKV_AWS_116:It is called by an SQS event source, whose dead-letter queue is that of the queue.
  #checkov:skip=CKV_AWS_272:Code signing is for zip files; the image is pinned by its digest.
  #checkov:skip=CKV_AWS_50:Traces go where the program's own traces go.
  function_name = var.name
  role          = aws_iam_role.this.arn
  package_type  = "Image"
  image_uri     = var.image
  architectures = [lower(var.architecture)]
  timeout       = var.timeout_seconds
  memory_size   = var.memory
  kms_key_arn   = var.kms_key_arn

  environment {
    variables = merge(var.environment, length(var.secrets) == 0 ? {} : { HOLDFAST_SECRETS = jsonencode(var.secrets) })
  }

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = var.security_group_ids
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  lifecycle {
    # Else messages come back while the function still holds them, and while Lambda waits out a throttle.
    precondition {
      condition     = var.queue.visibility_timeout_seconds >= 6 * var.timeout_seconds
      error_message = "The queue's visibility timeout (${var.queue.visibility_timeout_seconds} s) must be at least six times the function's timeout (${var.timeout_seconds} s)."
    }
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_event_source_mapping" "this" {
  event_source_arn = var.queue.arn
  function_name    = aws_lambda_function.this.arn
  batch_size       = var.batch_size
  # One message that fails does not bring the others back.
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.max_concurrency
  }
}

# What one client sends beyond its share.
resource "aws_lambda_event_source_mapping" "overflow" {
  count = var.queue.overflow_arn == null ? 0 : 1

  event_source_arn = var.queue.overflow_arn
  function_name    = aws_lambda_function.this.arn
  batch_size       = var.batch_size
  # One message that fails does not bring the others back.
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.max_concurrency
  }
}
