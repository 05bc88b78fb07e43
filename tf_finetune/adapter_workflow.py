"""The adapters command: lists, merges and composes adapter files."""

import math
import pathlib
from collections.abc import Callable, Sequence

from tf_finetune import environment, errors, terminal_escapes
from tf_finetune.adaptation import adapter_file, adapter_paths
from tf_finetune.config import command_configs
from tf_finetune.feature_cache import entries
from tf_finetune.preflight import finished_run_files, unused_options

Report = Callable[[str], None]

Part = tuple[adapter_file.SavedAdapter, float]


def manage_adapters(
    config: command_configs.AdaptersConfig, *, report: Report
) -> None:
    """Lists, merges or composes adapter files.

    Args:
        config: All options of the command.
        report: Called with each text for the user.

    Raises:
        UsageError: An option is wrong, a file is no adapter, or the adapters
            are of different networks.
        RunError: A file is damaged, or the base has other weights.
    """
    unused_options.check_options(config, {})
    factors = [_split_factor(each) for each in config.adapters]
    parts = {path: (adapter_file.read(path), f) for path, f in factors}
    if len(parts) < len(factors):
        raise errors.UsageError("--adapters names a file twice.")
    if config.action == "list":
        for path, (saved, _) in parts.items():
            report(describe_adapter(path, saved))
        return
    weights = _choose_weights(config, parts)
    outputs = _choose_outputs(config, [*parts])
    for path in outputs:
        finished_run_files.check_writable(path, config.output, "file")
    environment.start_tensorflow()
    # Each task has its own head on the same backbone.
    for (saved, _), output in zip(parts.values(), outputs, strict=True):
        _write_network(saved, [*parts.values()], weights, output)
        report(f"{output} written.")


def describe_adapter(
    path: pathlib.Path, saved: adapter_file.SavedAdapter
) -> str:
    """Describes an adapter file in a few lines.

    Args:
        path: The file.
        saved: Its content.
    """
    chosen, base = saved.options, saved.facts["base"]
    numbers = sum(math.prod(each.shape) for each in saved.numbers.values())
    head = sum(math.prod(each.shape) for each in saved.head)
    origin = base["weights"] or f"{base['file']}, a file"
    figures = ", ".join(
        f"{split} {name} {value:.3f}"
        for split, found in saved.facts["figures"].items()
        for name, value in found.items()
        if isinstance(value, float) and split != "train"
    )
    names = ", ".join(saved.class_names[:8])
    more = len(saved.class_names) - 8
    lines = [
        f"{path}: {entries.format_size(path.stat().st_size)}",
        f"  base: {chosen.backbone}, weights {origin}, fingerprint "
        f"{base['sha256'][:12]}",
        f"  adapter: {chosen.adaptation}, {numbers:,} numbers and {head:,} of "
        f"the head; kept: {saved.facts['kept']}",
        f"  outputs: {names}" + (f" and {more} more" if more > 0 else ""),
        f"  figures: {figures or 'none'}",
    ]
    return "\n".join(terminal_escapes.escape(line) for line in lines)


def _split_factor(text: str) -> tuple[pathlib.Path, float]:
    """Splits "FILE:0.5" into a path and its factor, 1 if there is none."""
    name, sign, factor = text.rpartition(":")
    path = pathlib.Path(text).expanduser()
    if sign and not path.exists():
        try:
            number = float(factor)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise errors.UsageError(
                f"--adapters={text}: there is no such file, and behind the "
                "colon stands no number. Write FILE or FILE:FACTOR."
            )
        return adapter_paths.find_file(pathlib.Path(name).expanduser()), number
    return adapter_paths.find_file(path), 1.0


def _choose_weights(
    config: command_configs.AdaptersConfig, parts: dict[pathlib.Path, Part]
) -> str:
    """Returns the weights of the base that all adapters have in common."""
    (_, factor), *others = parts.values()
    if config.action == "merge" and (others or factor != 1):
        raise errors.UsageError(
            "merge takes one file and no factor; compose takes several."
        )
    return adapter_paths.choose_base(
        {path: saved for path, (saved, _) in parts.items()}, config.weights
    )


def _choose_outputs(
    config: command_configs.AdaptersConfig, paths: Sequence[pathlib.Path]
) -> list[pathlib.Path]:
    output = pathlib.Path(config.output).expanduser()
    if config.action == "merge":
        if output.suffix != ".keras":
            raise errors.UsageError(
                f"--output={config.output} must end in .keras."
            )
        return [output]
    names = [adapter_paths.name_file(each) for each in paths]
    if len({*names}) < len(names):
        names = [f"{name}-{i}" for i, name in enumerate(names, start=1)]
    return [output / f"{name}.keras" for name in names]


def _write_network(
    saved: adapter_file.SavedAdapter,
    parts: Sequence[Part],
    weights: str,
    output: pathlib.Path,
) -> None:
    """Writes the network of one adapter's head with all changes as .keras."""
    from tf_finetune import files
    from tf_finetune.adaptation import composition
    from tf_finetune.exports import export_files

    built = composition.build_adapted(saved, weights)
    if len(parts) == 1 and parts[0][1] == 1:
        # Without rounding of a difference.
        composition.load_numbers(saved, built).merge()
    else:
        composition.add_changes(built, parts)
    output.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(output) as temporary:
        export_files.save_keras(
            built.model, temporary, saved.class_names, saved.facts["decision"]
        )
