"""The brainstem's 36 nuclei as the documented schema numbers them, and that schema's JSON form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from delineate.labels import Class, Labels

__all__ = ["ATLAS", "BRAINSTEM_ID", "MEDULLA_ID", "Nucleus", "atlas_labels", "atlas_schema"]

BRAINSTEM_ID, MEDULLA_ID = 9, 99
"""Ids of what is in no nucleus: of the medulla, and of the rest."""
OWN_IDS = {"medulla": MEDULLA_ID}
"""Of subdivisions; the others have none."""
RANGES = {"midbrain": (100, 119), "pons": (120, 139), "medulla": (140, 159)}
COLOURS = {
    "sensorimotor": (255, 100, 100),
    "autonomic": (100, 255, 100),
    "consciousness": (100, 100, 255),
    "mixed": (255, 255, 100),
}


@dataclass(frozen=True, slots=True)
class Nucleus:
    """One of them; left and right are one."""

    name: str
    id: int
    abbreviation: str
    subdivision: str
    function: str


ATLAS = tuple(
    Nucleus(*row)
    for row in (
        ("periaqueductal_gray", 100, "PAG", "midbrain", "autonomic"),
        ("edinger_westphal", 101, "EW", "midbrain", "autonomic"),
        ("substantia_nigra_compacta", 102, "SNc", "midbrain", "sensorimotor"),
        ("substantia_nigra_reticulata", 103, "SNr", "midbrain", "sensorimotor"),
        ("red_nucleus", 4, "RN", "midbrain", "sensorimotor"),
        ("oculomotor_nucleus", 105, "III", "midbrain", "sensorimotor"),
        ("trochlear_nucleus", 106, "IV", "midbrain", "sensorimotor"),
        ("superior_colliculus", 107, "SC", "midbrain", "sensorimotor"),
        ("inferior_colliculus", 85, "IC", "midbrain", "sensorimotor"),
        ("ventral_tegmental_area", 109, "VTA", "midbrain", "mixed"),
        ("midbrain_reticular_formation", 110, "RF-MB", "midbrain", "consciousness"),
        ("interpeduncular_nucleus", 111, "IPN", "midbrain", "mixed"),
        ("pontine_nuclei", 29, "PN", "pons", "sensorimotor"),
        ("locus_coeruleus", 121, "LC", "pons", "consciousness"),
        ("abducens_nucleus", 122, "VI", "pons", "sensorimotor"),
        ("facial_nucleus", 123, "VII", "pons", "sensorimotor"),
        ("superior_olivary_complex", 124, "SOC", "pons", "sensorimotor"),
        ("trigeminal_motor_nucleus", 125, "Vmo", "pons", "sensorimotor"),
        ("trigeminal_sensory_nucleus", 126, "Vsen", "pons", "sensorimotor"),
        ("vestibular_nuclei", 127, "VN", "pons", "sensorimotor"),
        ("parabrachial_nucleus", 128, "PBN", "pons", "autonomic"),
        ("raphe_pontis", 129, "RPo", "pons", "consciousness"),
        ("pontine_reticular_formation", 130, "RF-PN", "pons", "consciousness"),
        ("kolliker_fuse_nucleus", 131, "KF", "pons", "autonomic"),
        ("nucleus_ambiguus", 140, "NA", "medulla", "mixed"),
        ("hypoglossal_nucleus", 141, "XII", "medulla", "sensorimotor"),
        ("dorsal_motor_nucleus_of_vagus", 142, "DMNX", "medulla", "autonomic"),
        ("nucleus_tractus_solitarius", 143, "NTS", "medulla", "autonomic"),
        ("inferior_olive", 144, "IO", "medulla", "sensorimotor"),
        ("raphe_magnus", 145, "RMg", "medulla", "mixed"),
        ("raphe_pallidus", 146, "RPa", "medulla", "autonomic"),
        ("pre_botzinger_complex", 147, "preBotC", "medulla", "autonomic"),
        ("botzinger_complex", 148, "BotC", "medulla", "autonomic"),
        ("rostral_ventrolateral_medulla", 149, "RVLM", "medulla", "autonomic"),
        ("gigantocellular_nucleus", 150, "GC", "medulla", "mixed"),
        ("medullary_reticular_formation", 151, "RF-MD", "medulla", "consciousness"),
    )
)


def atlas_labels() -> Labels:
    """Brainstem, subdivisions, nuclei; what is in no nucleus has an id of its own."""
    return Labels(
        classes=(
            Class(name="brainstem", id=BRAINSTEM_ID),
            *(Class(name=part, id=OWN_IDS.get(part), parent="brainstem") for part in RANGES),
            *(
                Class(name=n.name, id=n.id, parent=n.subdivision, colour=COLOURS[n.function])
                for n in ATLAS
            ),
        )
    )


def atlas_schema() -> Mapping[str, Any]:
    """What metadata/brainstem_labels_schema.json holds."""
    subdivisions = {
        part: {
            **({"label_id": OWN_IDS[part]} if part in OWN_IDS else {}),
            "label_range": list(span),
            "name": part.capitalize(),
            "nuclei": {n.name: _described(n) for n in ATLAS if n.subdivision == part},
        }
        for part, span in RANGES.items()
    }
    return {
        "schema_version": "1.0",
        "description": "Nuclei of the brainstem in three subdivisions",
        "coordinate_system": "MNI152",
        "resolution_mm": 0.2,
        "data_source": "synthetic",
        "hierarchy": {
            "brainstem": {
                "label_id": BRAINSTEM_ID,
                "name": "Brainstem",
                "subdivisions": subdivisions,
            }
        },
        "color_mapping": {name: list(colour) for name, colour in COLOURS.items()},
        "validation_criteria": {"dice_threshold": 0.87, "minimum_volume_voxels": 100},
        "nextbrain_mapping": {
            "existing_labels": {
                "4": "red_nucleus",
                "9": "brainstem",
                "29": "pontine_nuclei",
                "85": "inferior_colliculus",
                "99": "medulla",
            }
        },
    }


def _described(nucleus: Nucleus) -> dict[str, Any]:
    return {
        "label_id": nucleus.id,
        "name": nucleus.name.replace("_", " ").capitalize(),
        "abbreviation": nucleus.abbreviation,
        "functional_class": nucleus.function,
    }
