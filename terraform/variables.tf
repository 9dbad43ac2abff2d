# Where

variable "environment" {
  description = "Name of the deployment, such as staging. In front of all names: holdfast-staging."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.environment))
    error_message = "The environment has 2 to 16 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "Region of everything."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "This is no region such as eu-west-1."
  }
}

variable "account_id" {
  description = "Account that this is meant for; in any other one nothing is done."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account id has 12 digits."
  }
}

variable "availability_zones" {
  description = "Two to four zones of the region."
  type        = list(string)

  validation {
    condition     = alltrue([for zone in var.availability_zones : startswith(zone, var.region)])
    error_message = "The availability zones must be of the region."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC, a /16 to /20."
  type        = string
  default     = "10.40.0.0/16"
}

variable "nat_per_availability_zone" {
  description = "A NAT gateway for each zone, so that the loss of one zone does not cut off the partners."
  type        = bool
  default     = true
}

variable "interface_endpoints" {
  description = "AWS services reached without NAT. None of them is needed; each costs by the hour and saves traffic."
  type        = set(string)
  default     = ["ecr.api", "ecr.dkr", "logs", "secretsmanager", "sqs"]
}

# The way in

variable "certificate_arn" {
  description = "Certificate of the name that clients call, from ACM."
  type        = string

  validation {
    condition     = startswith(var.certificate_arn, "arn:aws:acm:${var.region}:")
    error_message = "This is no ARN of a certificate in the region."
  }
}

variable "internal" {
  description = "Whether only the VPC and what is connected to it can reach the API."
  type        = bool
  default     = false
}

variable "allowed_cidrs" {
  description = "Who may send requests."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs must be a list of CIDR blocks, not empty."
  }
}

variable "access_logs_bucket" {
  description = "Bucket for the load balancer's access logs, null for none."
  type        = string
  default     = null
}

variable "web_acl_arn" {
  description = "WAF's list of rules in front of the API, null for none."
  type        = string
  default     = null
}

# What runs

variable "images" {
  description = "Images by digest, of the API, of the worker, and of holdfast, the operators' tool (the target migrate)."
  type = object({
    api      = string
    worker   = string
    operator = string
  })
}

variable "architecture" {
  description = "X86_64 or ARM64, as the images were built."
  type        = string
  default     = "X86_64"
}

variable "container_health_checks" {
  description = "Whether ECS asks API and worker by their command healthcheck whether they live."
  type        = bool
  default     = true
}

variable "database_ca_file" {
  description = "Where the images have the bundle of RDS' certificate authorities."
  type        = string
  default     = "/etc/holdfast/certificates/global-bundle.pem"
}

variable "api" {
  description = "Size of a task of the API, how many there are, and the CPU in % that they are held at."
  type = object({
    cpu        = optional(number, 1024)
    memory     = optional(number, 2048)
    min_tasks  = optional(number, 2)
    max_tasks  = optional(number, 6)
    cpu_target = optional(number, 50)
  })
  default = {}

  validation {
    condition     = var.api.min_tasks >= 1 && var.api.max_tasks >= var.api.min_tasks
    error_message = "The API needs at least one task, and max_tasks not below min_tasks."
  }
}

variable "worker_layout" {
  description = "per_queue: a service for each queue, scaled by it alone. one: a single service for all, scaled by each."
  type        = string
  default     = "per_queue"

  validation {
    condition     = contains(["per_queue", "one"], var.worker_layout)
    error_message = "worker_layout is per_queue or one."
  }
}

variable "worker" {
  description = "Size of a task of the worker, and how many there are in each service. Who reads the journal never has less than one."
  type = object({
    cpu       = optional(number, 1024)
    memory    = optional(number, 2048)
    min_tasks = optional(number, 1)
    max_tasks = optional(number, 6)
  })
  default = {}
}

variable "worker_overrides" {
  description = "What is different for one service, by its queue in queues.json (or all, with the layout one)."
  type = map(object({
    cpu       = optional(number)
    memory    = optional(number)
    min_tasks = optional(number)
    max_tasks = optional(number)
  }))
  default = {}
}

variable "lambda_workers" {
  description = "Queues that a function consumes beside the services."
  type = map(object({
    image           = string
    timeout_seconds = optional(number, 5)
    memory          = optional(number, 512)
    max_concurrency = optional(number, 10)
  }))
  default = {}
}

variable "queues_file" {
  description = "Another description of the queues than queues.json."
  type        = string
  default     = null
}

variable "queue_name_prefix" {
  description = "Put in front of the names of queues, where several deployments share an account."
  type        = string
  default     = ""
}

# Settings of the binaries; all of them are in the README

variable "settings" {
  description = "Further settings of all binaries, such as HOLDFAST__CALLBACKS__TIMEOUT_MS or RUST_LOG."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^(HOLDFAST__[A-Z0-9_]+|RUST_LOG|TOKIO_WORKER_THREADS)$", name))])
    error_message = "Settings are HOLDFAST__SECTION__KEY, RUST_LOG or TOKIO_WORKER_THREADS."
  }
}

variable "server_key_secret_arn" {
  description = "Secret with the server key: 32 bytes or more in base64. It is made by hand, because it must outlive all of this: never changed, never lost."
  type        = string

  validation {
    condition     = startswith(var.server_key_secret_arn, "arn:aws:secretsmanager:")
    error_message = "This is no ARN of a secret."
  }
}

variable "encryption_key_secret_arns" {
  description = "Secrets with the keys that clients' secrets are sealed with in Postgres, by the name of the key: 32 bytes in base64 each. Without one, the key is derived from the server key."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.encryption_key_secret_arns) : can(regex("^[a-z0-9]+(_[a-z0-9]+)*$", name))])
    error_message = "A key's name has lower-case letters, digits and single underscores: it becomes part of a variable's name."
  }

  validation {
    condition     = alltrue([for arn in values(var.encryption_key_secret_arns) : startswith(arn, "arn:aws:secretsmanager:")])
    error_message = "These are no ARNs of secrets."
  }
}

variable "encryption_current_key" {
  description = "Name of the key that is sealed with from now on."
  type        = string
  default     = null

  validation {
    condition     = var.encryption_current_key == null ? length(var.encryption_key_secret_arns) == 0 : contains(keys(var.encryption_key_secret_arns), var.encryption_current_key)
    error_message = "This must be the name of one of encryption_key_secret_arns, if there are any."
  }
}

variable "database_secret_arn" {
  description = "JSON secret with username and password that the binaries use; null for the one that RDS manages, whose user owns the database."
  type        = string
  default     = null
}

variable "secret_kms_key_arns" {
  description = "Keys that the secrets named here are encrypted with, where these are not AWS's own."
  type        = list(string)
  default     = []
}

variable "partners" {
  description = "Third parties by name. Secrets are ARNs; settings are those of partners.<name>, such as create_timeout_ms."
  type = map(object({
    base_url                    = string
    auth_header_secret_arn      = optional(string)
    webhook_secret_arn          = optional(string)
    webhook_previous_secret_arn = optional(string)
    settings                    = optional(map(string), {})
  }))

  validation {
    condition     = alltrue([for name in keys(var.partners) : can(regex("^[a-z][a-z0-9]*(_[a-z0-9]+)*$", name))])
    error_message = "A partner's name has lower-case letters, digits and single underscores: it becomes part of a variable's name."
  }

  validation {
    condition     = alltrue([for partner in var.partners : startswith(partner.base_url, "https://")])
    error_message = "Partners are reached by https."
  }
}

variable "routing" {
  description = "Which partner takes transactions, which ones take part in refunds, in this order, and which one fulfils orders (null: nobody)."
  type = object({
    transactions = optional(string, "processor")
    refunds      = optional(list(string), ["processor"])
    orders       = optional(string)
  })
  default = {}

  validation {
    condition = alltrue([
      for name in concat([var.routing.transactions], var.routing.refunds, var.routing.orders == null ? [] : [var.routing.orders]) :
      contains(keys(var.partners), name)
    ])
    error_message = "routing names somebody who is not in partners."
  }

  validation {
    condition     = length(var.routing.refunds) > 0 && length(distinct(var.routing.refunds)) == length(var.routing.refunds)
    error_message = "Refunds need at least one partner, and none twice."
  }
}

# The database

variable "database" {
  description = "Size of Postgres. connections_per_task is database.connections of the binaries; max_connections must suffice for all tasks, twice during a deployment."
  type = object({
    engine_version         = optional(string, "16.6")
    instance_class         = optional(string, "db.r7g.large")
    instances              = optional(number, 2)
    max_connections        = optional(number, 1600)
    connections_per_task   = optional(number, 10)
    backup_retention_days  = optional(number, 14)
    password_rotation_days = optional(number, 365)
  })
  default = {}

  validation {
    condition     = var.database.connections_per_task >= 2
    error_message = "The binaries need at least 2 connections each."
  }
}

variable "events_queue" {
  description = "A queue for the events that other services build on; its name ends in .fifo where their order must be kept. None without it. Consumers need permissions of their own."
  type = object({
    name                       = string
    visibility_timeout_seconds = optional(number, 30)
    message_retention_seconds  = optional(number, 345600)
    max_receive_count          = optional(number, 5)
  })
  default = null
}

# Operation

variable "alarm_emails" {
  description = "Who is told of alarms."
  type        = set(string)
  default     = []
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 30, 60, 90, 120, 150, 180, 365 or certain greater numbers of days."
  }
}

variable "deletion_protection" {
  description = "Whether database and load balancer refuse to be deleted. Off only for what is thrown away."
  type        = bool
  default     = true
}
