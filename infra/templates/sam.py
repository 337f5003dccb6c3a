"""infra/template.yaml as CloudFormation gets it."""

import copy
import os
from pathlib import Path
from types import SimpleNamespace

# Before the imports, which read it.
os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"

from cfnlint.api import lint as cfn_lint
from cfnlint.config import ManualArgs
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
# The translator asks AWS for their ARNs; the template names none of SAM's own.
NO_MANAGED_POLICIES = SimpleNamespace(load=dict)


def transformed(text, parameters):
    """What the SAM transform makes of it; parameters are text, as CloudFormation hands them over."""
    template = yaml_parse(text)
    for resource in template["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            resource["Properties"]["CodeUri"] = "s3://some-bucket/code.zip"  # as `sam package` does
    return transform(template, copy.deepcopy(parameters), NO_MANAGED_POLICIES)


def lint(text):
    """cfn-lint's findings, its warnings too."""
    return [str(match) for match in cfn_lint(text, config=ManualArgs(regions=["eu-west-1"]))]
