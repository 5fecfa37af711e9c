"""IAM as far as EC2 tools call it: moto's, and a policy simulation that allows everything."""

from __future__ import annotations

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse


class Identity(IamResponse):
    """The IAM actions."""

    def simulate_principal_policy(self) -> ActionResult:
        """Return `allowed` for every action: the caller is the account's root user.

        https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
        """
        resources = self._get_param("ResourceArns") or ["*"]
        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resources[0],
                "EvalDecision": "allowed",
                "MatchedStatements": [],
            }
            for action in self._get_param("ActionNames", [])
        ]
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})
