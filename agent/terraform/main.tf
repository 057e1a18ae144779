# One deployment group on AWS: the bucket that is the depot, the topic that says what changed in it, the role of the instances,
# the launch and the termination hook of their Auto Scaling group, and policies for those who publish.
#
#   module "muster" {
#     source             = "/usr/share/doc/muster/examples/terraform"
#     bucket             = "example-deploys"
#     app                = "api"
#     auto_scaling_group = aws_autoscaling_group.api.name
#   }
#
# The launch template takes module.muster.instance_profile, and muster.conf module.muster.configuration.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  names = {
    partition = data.aws_partition.current.partition
    bucket    = var.bucket
    prefix    = var.prefix
    app       = var.app
    group     = var.auto_scaling_group
  }
}
