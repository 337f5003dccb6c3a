"""What a transformed template makes: its conditions decided, its intrinsics evaluated; and how to look into that."""

import re

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/agent/0a1b2c3d",
    "AWS::StackName": "agent",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()
# A parameter's text as what its type makes of it.
TYPES = {"Number": int, "CommaDelimitedList": lambda text: text.split(",")}


def resolved(template, given):
    """The resources and outputs that there are with these parameters."""
    resolver = Resolver(template, given)
    return {
        section: {
            name: resolver.value(made)
            for name, made in template[section].items()
            if "Condition" not in made or resolver.holds[made["Condition"]]
        }
        for section in ("Resources", "Outputs")
    }


class Resolver:
    """Evaluates intrinsics. A reference to a resource becomes its name in angle brackets."""

    def __init__(self, template, given):
        self.values = {**PSEUDO, "AWS::NoValue": NO_VALUE}
        for name, declared in template.get("Parameters", {}).items():
            self.values[name] = TYPES.get(declared["Type"], str)(given.get(name, declared.get("Default")))
        self.holds = {name: self.value(condition) for name, condition in template["Conditions"].items()}

    def value(self, node):
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        for name, argument in node.items():
            if name in INTRINSICS:
                return INTRINSICS[name](self, argument)
        values = {key: self.value(inner) for key, inner in node.items()}
        return {key: value for key, value in values.items() if value is not NO_VALUE}

    def ref(self, name):
        return self.values.get(name, f"<{name}>")

    def sub(self, argument):
        text, own = argument if isinstance(argument, list) else (argument, {})
        own = self.value(own)
        return re.sub(r"\$\{([^}]+)\}", lambda match: str(own.get(match[1], self.ref(match[1]))), text)


INTRINSICS = {
    "Ref": Resolver.ref,
    "Fn::Sub": Resolver.sub,
    "Fn::GetAtt": lambda _, it: f"<{it if isinstance(it, str) else '.'.join(it)}>",
    "Fn::Join": lambda self, it: it[0].join(self.value(it[1])),
    "Fn::Split": lambda self, it: self.value(it[1]).split(it[0]),
    "Fn::Equals": lambda self, it: self.value(it[0]) == self.value(it[1]),
    "Fn::If": lambda self, it: self.value(it[1 if self.holds[it[0]] else 2]),
    "Fn::Not": lambda self, it: not self.value(it[0]),
}


def each(stack, names):
    """The properties of those of them that this variant has."""
    return [stack["Resources"][name]["Properties"] for name in names if name in stack["Resources"]]


def kept(stack, name):
    return [stack["Resources"][name].get(policy) for policy in ("DeletionPolicy", "UpdateReplacePolicy")]


def routes(stack):
    """(path, method) -> who may call it and what it calls."""
    paths = stack["Resources"]["Api"]["Properties"]["Body"]["paths"]
    return {(path, method): route for path, methods in paths.items() for method, route in methods.items()}


def allowed(stack, role):
    """Action -> resources."""
    found = {}
    for policy in stack["Resources"][role]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow", statement
            where = statement["Resource"]
            for action in statement["Action"]:
                found.setdefault(action, set()).update([where] if isinstance(where, str) else where)
    return {action: sorted(where) for action, where in found.items()}
