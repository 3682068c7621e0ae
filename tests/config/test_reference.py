from pathlib import Path

from delineate.config import Config, config_reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "config.md"


def test_the_reference_page_is_what_the_schema_says():
    assert PAGE.read_text(encoding="utf-8") == config_reference(), (
        "Fix: python -c 'import delineate.config as c; print(c.config_reference(), end=\"\")' "
        "> docs/reference/config.md"
    )


def test_every_section_has_its_table():
    page = config_reference()
    for key in Config.model_fields:
        assert f"| `{key}` |" in page
    assert "| `budget` | a budget such as 90s, 10min, 2h, 500 steps or 100 epochs | `1h` |" in page
    assert "| `root` | a path | required |" in page
