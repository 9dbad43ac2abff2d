locals {
  # Each row: a title, and up to three charts; a chart is a title, a statistic and its metrics.
  rows = concat(
    [
      {
        title = "API"
        charts = [
          ["Requests", "Sum", [["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.load_balancer.arn_suffix]]],
          ["Answers", "Sum", [
            for class in ["Target_2XX", "Target_4XX", "Target_5XX", "ELB_5XX"] :
            ["AWS/ApplicationELB", "HTTPCode_${class}_Count", "LoadBalancer", var.load_balancer.arn_suffix]
          ]],
          ["Time to answer, median", "p50", [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.load_balancer.arn_suffix]]],
        ]
      },
      {
        title = "Postgres"
        charts = [
          ["CPU, %", "Average", [["AWS/RDS", "CPUUtilization", "DBClusterIdentifier", var.database.cluster_id]]],
          ["Connections", "Maximum", [["AWS/RDS", "DatabaseConnections", "DBClusterIdentifier", var.database.cluster_id]]],
          ["Time to commit, ms", "Average", [["AWS/RDS", "CommitLatency", "DBClusterIdentifier", var.database.cluster_id]]],
        ]
      },
      {
        title = "Services"
        charts = [
          ["Running tasks", "Maximum", [
            for name in keys(var.services) : ["ECS/ContainerInsights", "RunningTaskCount", "ClusterName", var.cluster_name, "ServiceName", name]
          ]],
          ["CPU, %", "Average", [
            for name in keys(var.services) : ["AWS/ECS", "CPUUtilization", "ClusterName", var.cluster_name, "ServiceName", name]
          ]],
          ["Errors and dead letters", "Sum", [for metric in ["Errors", "DeadLetters"] : [local.log_metrics, metric]]],
        ]
      },
    ],
    [
      for key, queue in var.queues : {
        title = "Queue: ${key}"
        charts = [
          ["Messages", "Maximum", concat(
            [
              for metric in ["ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"] :
              ["AWS/SQS", metric, "QueueName", queue.name]
            ],
            queue.overflow_name == null ? [] : [
              ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", coalesce(queue.overflow_name, "-")]
            ],
            queue.dead_letter_name == null ? [] : [
              ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", coalesce(queue.dead_letter_name, "-")]
            ],
          )],
          ["Age of the oldest, s", "Maximum", [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue.name]]],
          ["Sent and deleted", "Sum", [
            for metric in ["NumberOfMessagesSent", "NumberOfMessagesDeleted"] : ["AWS/SQS", metric, "QueueName", queue.name]
          ]],
        ]
      }
    ],
  )

  row_height = 7

  widgets = concat([
    for row_index, row in local.rows : concat(
      [{
        type       = "text"
        x          = 0
        y          = row_index * local.row_height
        width      = 24
        height     = 1
        properties = { markdown = "## ${row.title}" }
      }],
      [
        for index, chart in row.charts : {
          type       = "metric"
          x          = index * 8
          y          = row_index * local.row_height + 1
          width      = 8
          height     = local.row_height - 1
          properties = { title = chart[0], stat = chart[1], metrics = chart[2], region = var.region, period = 60, view = "timeSeries" }
        }
      ],
    )
  ]...)
}
