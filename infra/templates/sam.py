"""What CloudFormation gets to see of infra/template.yaml, from SAM or from CDK."""

import copy
import json
import os
import subprocess
import tempfile
from pathlib import Path

# Before the imports, which read it.
os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"

from cfnlint.api import lint as cfn_lint
from cfnlint.config import ManualArgs
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).parents[1] / "template.yaml"


class NoManagedPolicies:
    """The translator asks AWS for their ARNs; the template names none of SAM's own."""

    def load(self):
        return {}


def transformed(text, parameters):
    """What the SAM transform makes of it; parameters are text, as CloudFormation hands them over."""
    template = yaml_parse(text)
    for resource in template["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            resource["Properties"]["CodeUri"] = "s3://some-bucket/code.zip"  # as `sam package` does
    return transform(template, copy.deepcopy(parameters), NoManagedPolicies())


def from_cdk(parameters):
    """The template that infra/cdk makes of those parameters, run as `cdk -c` does, building no function."""
    # CDK's own findings are errors.
    context = {"aws:cdk:bundling-stacks": [], "@aws-cdk/core:validateAgainstDefaultRules": True}
    with tempfile.TemporaryDirectory() as out:
        cdk = {"CDK_OUTDIR": out, "CDK_CONTEXT_JSON": json.dumps(context | parameters)}
        subprocess.run(["tsx", "app.ts"], cwd=TEMPLATE.parent / "cdk", env=os.environ | cdk, check=True)
        return (Path(out) / "A2aAgent.template.json").read_text()


def lint(text):
    """cfn-lint's findings, its warnings too."""
    return [str(match) for match in cfn_lint(text, config=ManualArgs(regions=["eu-west-1"]))]
