"""A teacher's logits of every view of a run's pictures, computed once.

They lie in the feature cache, by the teacher's key and the view; with
`--cache=off`, or without room, in memory. Of a teacher whose head was solved on
the run's own training pictures, logits of these come from heads that were
solved without them: on what it has learned it is surer than on new pictures.
"""

import contextlib
import functools
from collections.abc import Sequence

import numpy as np

from tf_finetune.data import examples
from tf_finetune.data.images import inspection
from tf_finetune.feature_cache import entries, fill, memory_store
from tf_finetune.feature_cache import store as stores
from tf_finetune.model import inference
from tf_finetune.runs import context as contexts
from tf_finetune.runs import teacher as teachers
from tf_finetune.runs import teacher_folds
from tf_finetune.solvers import head_problem as problems

Store = stores.Store | memory_store.MemoryStore


class TeacherLogits:
    """Logits of a teacher by picture and view, for one run.

    Attributes:
        teacher: The teacher.
        folds: The training pictures whose logits are out of fold; None where
            the teacher's own head answers for all.
    """

    def __init__(
        self,
        teacher: teachers.Teacher,
        context: contexts.RunContext,
        held: contextlib.ExitStack,
    ) -> None:
        """Opens the stores; computes nothing yet.

        Args:
            teacher: The teacher.
            context: The run, whose training pictures are all labeled.
            held: Exit stack that keeps the entries from being evicted until it
                is closed.
        """
        self.teacher = teacher
        self._context, self._held = context, held
        self.folds = teacher_folds.draw_folds(teacher, context)
        width = len(teacher.order)
        self._logits = self._open(teacher.key, width, "logits")
        self._out_of_fold = self._features = None
        if self.folds:
            self._out_of_fold = self._open(
                self.folds.key, width, "out-of-fold logits"
            )
            self._features = self._open(
                teachers.hash_features(teacher),
                teacher.features.output_shape[-1],
                "features",
            )

    def compute(
        self, pictures: Sequence[examples.Picture], views: int
    ) -> np.ndarray:
        """Returns the logits of pictures; computes those that are missing.

        Args:
            pictures: n pictures of any split, or unlabeled ones. Training
                pictures with a fold get the logits of the head that was solved
                without them.
            views: Number of views; view 0 is the picture as it is.

        Returns:
            [views, n, classes] float32, in the order of the student's classes.
        """
        # What the teacher has learned gets logits of a head without it.
        held = self.folds.fold_of if self.folds else {}
        parts = {
            True: [p for p in pictures if p.sha256 in held],
            False: [p for p in pictures if p.sha256 not in held],
        }
        self._fill_plain(parts[False], views)
        if parts[True]:
            self._fill_out_of_fold(parts[True], views)
        found = np.empty(
            [views, len(pictures), len(self.teacher.order)], "float32"
        )
        is_held = np.array([p.sha256 in held for p in pictures], bool)
        for number in range(views):
            for chosen, part in parts.items():
                if part:
                    store = self._out_of_fold if chosen else self._logits
                    rows = store.rows(self._list_names(number, part)).all()
                    found[number, is_held == chosen] = rows
        # From the order of the teacher to that of the student.
        return found[..., list(self.teacher.order)]

    def _fill_plain(
        self, pictures: Sequence[examples.Picture], views: int
    ) -> None:
        self._fill(
            self._logits,
            self.teacher.compute_logits,
            pictures,
            views,
            "Teacher's logits",
        )

    def _fill_out_of_fold(
        self, pictures: Sequence[examples.Picture], views: int
    ) -> None:
        store = self._out_of_fold
        names = [
            name
            for number in range(views)
            for name in self._list_names(number, pictures)
        ]
        if not store.missing(names):
            return
        self._fill_features(pictures, views)
        for fold, head in enumerate(self._solve_heads()):
            part = [p for p in pictures if self.folds.fold_of[p.sha256] == fold]
            for number in range(views if part else 0):
                named = self._list_names(number, part)
                rows = self._features.rows(named).all()
                # A linear head on cached features: nothing is decoded again.
                store.put(named, rows @ head.kernel + head.bias)

    def _fill_features(
        self, pictures: Sequence[examples.Picture], views: int
    ) -> None:
        self._fill(
            self._features,
            lambda images: [inference.apply_step(self._step, images)],
            pictures,
            views,
            "Teacher's features",
        )

    @functools.cached_property
    def _step(self) -> inference.Step:
        return inference.compile_step(self.teacher.features)

    def _solve_heads(self) -> Sequence[problems.LinearHead]:
        """Solves the teacher's head without each of the folds."""
        learned = self.folds.pictures
        # As they are, without augmentation: so was its own head solved.
        self._fill_features(learned, 1)
        features = self._features.rows(self._list_names(0, learned)).all()
        return teacher_folds.solve_heads(self.folds, features, self._context)

    def _fill(
        self,
        store: Store,
        network: fill.Network,
        pictures: Sequence[examples.Picture],
        views: int,
        title: str,
    ) -> None:
        config, teacher = self._context.config, self.teacher
        picture_of = {picture.path: picture for picture in pictures}
        plain, *augmented = (
            self._context.cache.list_views(number, pictures)
            for number in range(views)
        )
        # One pass has pictures as they are, or augmented ones alone.
        for wanted in (plain, [view for each in augmented for view in each]):
            fill.fill_stores(
                [store],
                network,
                wanted,
                square=teacher.square,
                batch_size=config.training.batch_size,
                level=config.training.augmentation,
                title=title,
                check=lambda found: inspection.check_unchanged(
                    [picture_of[view.path] for view in found]
                ),
            )

    def _list_names(
        self, number: int, pictures: Sequence[examples.Picture]
    ) -> list[str]:
        views = self._context.cache.list_views(number, pictures)
        return [view.name for view in views]

    def _open(self, key: str, width: int, what: str) -> Store:
        """Opens a store on disk, or in memory where nothing is to be kept."""
        output = self._context.config.output
        count = len(self._context.data.pictures)
        # float32 has four bytes.
        needed = 4 * width * count * self._context.config.training.num_views
        if output.cache == "off" or not self._context.cache.make_room(needed):
            return memory_store.MemoryStore(width=width)
        folder = self._held.enter_context(
            entries.hold_entry(
                output.cache_folder,
                f"{entries.FEATURES}/{key}-float32",
                what=f"{what} of a teacher, {self.teacher.square.size} pixels",
            )
        )
        return stores.Store(folder, width=width, dtype="float32")
