"""IAM as far as EC2 tools ask: moto's, and a policy simulation in which the account's owner may do everything."""

from __future__ import annotations

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse


class Identity(IamResponse):
    """IAM as a caller sees it."""

    def simulate_principal_policy(self) -> ActionResult:
        """Every action is allowed: the caller is the account's root user.

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
