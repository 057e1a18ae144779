# One deployment group on AWS: the bucket that is the depot, the topic that says what changed in it, the role of the instances,
# the launch and the termination hook of their Auto Scaling group, and policies for those who publish.
#
#   module "muster" {
#     source                = "/usr/share/doc/muster/examples/terraform"
#     bucket                = "example-deploys"
#     app                   = "api"
#     auto_scaling_group    = "api-prod"
#     auto_scaling_group_id = aws_autoscaling_group.api.id
#   }
#
# The launch template takes module.muster.instance_profile, and muster.conf module.muster.configuration. The name of the group is given
# in words: the group needs the launch template, which needs the role, which has the group's name.

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
