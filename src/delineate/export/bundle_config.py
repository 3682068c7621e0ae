"""configs/inference.json of a MONAI bundle: our steps in the words of MONAI's transforms.

What MONAI does in another way, and so gives slightly other masks: windows lie at fixed steps from
the first corner, not evenly, and their borders weigh a little more; a resampled grid begins at the
centre of the first voxel, not at its edge; scores come back to the scan's grid by the image's own
interpolation.
"""

from typing import Any

from delineate.export.scores import Scores
from delineate.inference.model import Model
from delineate.inference.postprocess import KeepLargest, Step
from delineate.labels import Labels
from delineate.plan import Normalisation, Plan

__all__ = ["describe_inference", "left_out"]

NEIGHBOURS = {"faces": 1, "edges": 2, "corners": 3}

Part = dict[str, Any]


def describe_inference(model: Model, scores: Scores, network: Part, handlers: list[Part]) -> Part:
    """The whole configuration.

    Args:
        network: How the network is made, MONAI's `network_def`.
        handlers: What the evaluator does beside, such as loading weights.
    """
    plan = model.plan
    return {
        "imports": ["$import glob"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "datalist": _datalist(len(plan.channels)),
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": _before(plan)},
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": _inferer(model),
        "postprocessing": {
            "_target_": "Compose",
            "transforms": _after(scores, plan.labels, model.steps),
        },
        "handlers": handlers,
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": False,
        },
        "run": ["$@evaluator.run()"],
    }


def left_out(model: Model) -> tuple[str, ...]:
    """What the model does and the bundle does not, for people."""
    told = [str(step) for step in model.steps if not _is_known(step, model.labels)]
    if model.flips:
        told.append("averaging over mirror images")
    return tuple(told)


def _datalist(channels: int) -> str:
    """Every NIfTI file, or nnU-Net's case_0000, case_0001, ... where there are several channels."""
    if channels == 1:
        return "$[{'image': path} for path in sorted(glob.glob(@dataset_dir + '/*.nii.gz'))]"
    return (
        "$[{'image': [path[:-11] + '%04d.nii.gz' % c for c in range("
        f"{channels})]}} for path in sorted(glob.glob(@dataset_dir + '/*_0000.nii.gz'))]"
    )


def _before(plan: Plan) -> list[Part]:
    steps: list[Part] = [
        _transform("LoadImaged", reader="NibabelReader", image_only=True),
        _transform("EnsureChannelFirstd"),
        _transform("Orientationd", axcodes="RAS"),
    ]
    if plan.crop_nonzero:
        steps.append(
            _transform(
                "CropForegroundd",
                source_key="image",
                select_fn="$lambda x: x != 0",
                allow_smaller=True,
            )
        )
    return [*steps, *_normalise(plan.normalisation), *_resample(plan)]


def _normalise(rules: tuple[Normalisation, ...]) -> list[Part]:
    """At once where all channels have one rule, channel by channel where they differ."""
    if len(set(rules)) == 1:
        return _by_rule(rules[0], "image")
    keys = [f"image_{channel}" for channel in range(len(rules))]
    steps = [_transform("SplitDimd", dim=0, keepdim=True)]
    for key, rule in zip(keys, rules, strict=True):
        steps += _by_rule(rule, key)
    steps.append({"_target_": "ConcatItemsd", "keys": keys, "name": "image", "dim": 0})
    steps.append({"_target_": "DeleteItemsd", "keys": keys})
    return steps


def _by_rule(rule: Normalisation, key: str) -> list[Part]:
    if rule.kind == "zscore":
        return [
            _transform("NormalizeIntensityd", key, nonzero=rule.nonzero, channel_wise=True),
        ]
    if rule.kind == "ct":
        low, high = ((v - rule.mean) / (rule.deviation or 1.0) for v in (rule.low, rule.high))
        return [
            _transform(
                "ScaleIntensityRanged",
                key,
                a_min=rule.low,
                a_max=rule.high,
                b_min=low,
                b_max=high,
                clip=True,
            )
        ]
    if rule.kind == "scale":
        return [_transform("ScaleIntensityRanged", key, a_min=0, a_max=255, b_min=0, b_max=1)]
    return []


def _resample(plan: Plan) -> list[Part]:
    """Cubic, but nearest along an axis that is kept apart; -1 leaves an axis as it is."""
    apart = plan.separate_axis
    within = [-1.0 if axis == apart else mm for axis, mm in enumerate(plan.spacing)]
    cubic = _transform("Spacingd", pixdim=within, mode=3, padding_mode="nearest")
    if apart is None:
        return [cubic]
    along = [mm if axis == apart else -1.0 for axis, mm in enumerate(plan.spacing)]
    return [cubic, _transform("Spacingd", pixdim=along, mode="nearest", padding_mode="border")]


def _inferer(model: Model) -> Part:
    plan = model.plan
    window = [plan.patch[axis] for axis in plan.seen_axes]
    settings = {
        "roi_size": window,
        "sw_batch_size": plan.batch_size,
        "overlap": model.overlap,
        "mode": "gaussian",
        "sigma_scale": 0.125,
        "padding_mode": "constant",
    }
    if plan.slice_axis is None:
        return {"_target_": "SlidingWindowInferer", **settings}
    return {"_target_": "SliceInferer", "spatial_dim": plan.slice_axis, **settings}


def _after(scores: Scores, labels: Labels, steps: tuple[Step, ...]) -> list[Part]:
    """Scores on the scan's own grid, then decided, so that no class is cut off on the way."""
    decision: Part = {"argmax": True}
    if scores.threshold is not None:
        decision = {"threshold": scores.threshold}
    done = [
        _transform(
            "Invertd",
            "pred",
            transform="@preprocessing",
            orig_keys="image",
            nearest_interp=False,
            to_tensor=True,
        ),
        _transform("AsDiscreted", "pred", **decision),
    ]
    ids = [leaf.id for leaf in labels.leaves]
    if not labels.overlapping and ids != list(range(1, len(ids) + 1)):
        indices = list(range(1, len(ids) + 1))
        done.append(_transform("MapLabelValued", "pred", orig_labels=indices, target_labels=ids))
    done += [_keep_largest(step, labels) for step in steps if _is_known(step, labels)]
    done.append(
        _transform(
            "SaveImaged",
            "pred",
            output_dir="@output_dir",
            output_ext=".nii.gz",
            output_postfix="",
            output_dtype="$np.uint16" if any((i or 0) > 255 for i in ids) else "$np.uint8",
            separate_folder=False,
            resample=False,
        )
    )
    return done


def _is_known(step: Step, labels: Labels) -> bool:
    """Whether MONAI has the same step."""
    return isinstance(step, KeepLargest) and not labels.overlapping


def _keep_largest(step: Step, labels: Labels) -> Part:
    members = range(1, len(labels.leaves) + 1) if step.label is None else labels.members(step.label)
    return _transform(
        "KeepLargestConnectedComponentd",
        "pred",
        applied_labels=[labels.leaves[member - 1].id for member in members],
        is_onehot=False,
        independent=False,
        connectivity=NEIGHBOURS[step.neighbours],
    )


def _transform(name: str, key: str = "image", **settings: Any) -> Part:
    return {"_target_": name, "keys": key, **settings}
