resource "aws_iam_role" "instance" {
  name               = "${var.auto_scaling_group}-muster"
  assume_role_policy = templatefile("${path.module}/policies/trust.json", local.names)
}

resource "aws_iam_instance_profile" "instance" {
  name = aws_iam_role.instance.name
  role = aws_iam_role.instance.name
}

resource "aws_iam_role_policy" "instance" {
  name   = "muster"
  role   = aws_iam_role.instance.id
  policy = templatefile("${path.module}/policies/instance.json", local.names)
}

resource "aws_iam_role_policy" "key" {
  count  = var.kms_key_arn == null ? 0 : 1
  name   = "muster-key"
  role   = aws_iam_role.instance.id
  policy = templatefile("${path.module}/policies/key.json", { key = var.kms_key_arn })
}

# Holds each new instance until its apps are healthy; musterd knows its hooks by the name.
resource "aws_autoscaling_lifecycle_hook" "launch" {
  name                   = "muster"
  autoscaling_group_name = var.auto_scaling_group_id
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_LAUNCHING"
  heartbeat_timeout      = var.heartbeat_timeout
  default_result         = "ABANDON"
}

# Holds each instance that goes until it has drained.
resource "aws_autoscaling_lifecycle_hook" "terminate" {
  name                   = "muster-terminate"
  autoscaling_group_name = var.auto_scaling_group_id
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  heartbeat_timeout      = var.drain_timeout
  default_result         = "CONTINUE"
}
