"""Read what a loading operator is given as ``shard``."""

from __future__ import annotations

import ast
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.contract import Contract
    from airflow_provider_genesys.pipeline.shard import Shard


def shard_of(given: Any, contract: Contract) -> Shard | None:
    """Return the shard that GenesysPlanShardsOperator planned; None for the whole archive.

    :raises ConfigurationError: it is no shard, or ``contract`` evolves, which each shard would do in its own way.
    """
    if given in (None, "", "None"):
        return None
    if "evolve" in asdict(contract.modes).values():
        raise ConfigurationError(
            "A contract that evolves cannot be loaded in shards: each would make other columns of what it meets. Load "
            "the export in one piece, or choose other contract_modes."
        )
    import msgspec

    from airflow_provider_genesys.pipeline.shard import Shard

    try:
        return msgspec.convert(ast.literal_eval(given) if isinstance(given, str) else given, Shard)
    except (msgspec.ValidationError, ValueError, SyntaxError) as error:
        raise ConfigurationError(
            f"shard is no shard ({error}). Map the operator over what GenesysPlanShardsOperator returned: "
            ".partial(...).expand(shard=plan.output)."
        ) from None
