"""The README's picture: the first screen of the report that ``lphm train`` writes.

python -m benchmarks.picture

It needs chromium. The picture holds the words of the page as it was, without the numbers, so that a test can
tell whether it is stale.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "report.png"
#: Width in pixels, and the height that holds score, drivers and pairs.
SIZE = (1280, 890)


def first_words(page: str) -> str:
    """The distinct words of title, score and drivers, in alphabetical order.

    Left out is what may differ from machine to machine: numbers, small print, and pairs.
    """
    answers = re.sub(
        r'<p class="note">.*?</p>', "", page[page.index("<h1") : page.index('<section id="data"')]
    )
    answers = answers.partition('<section id="together"')[0]
    return " ".join(sorted(set(re.findall(r"[^\W\d_]+", re.sub(r"<[^>]*>", " ", answers)))))


def words_of(picture: Path) -> str:
    """The words of the page that a picture was made of."""
    with Image.open(picture) as image:
        return str(image.info["words"])


def main() -> None:
    """Train on the digits, open the report, and write what is seen of it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("chromium must be installed, got none")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "lphm", "train", "-o", "run", "--quiet"], cwd=folder, check=True
        )
        report, shot = Path(folder, "run", "report.html"), Path(folder, "shot.png")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        size = f"--window-size={SIZE[0]},{SIZE[1]}"
        subprocess.run([browser, *options, size, f"--screenshot={shot}", report.as_uri()], check=True)
        words = PngInfo()
        words.add_itxt("words", first_words(report.read_text(encoding="utf-8")))
        with Image.open(shot) as image:
            few = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
            few.save(PICTURE, optimize=True, pnginfo=words)
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
