"""The commands and blocks of the document, as they stand."""

INSTALL = """
cd training/ml_framework
pip install -e .
ml_framework --help
"""
TRAIN = """
cd training/ml_framework
ml_framework train --config ../experiment/lesion_segmentation/lesion_segmentation_latest.yaml
ml_framework train \\
    --config ../experiment/lesion_segmentation/lesion_segmentation_latest.yaml \\
    --dataset ../dataset/lesion_segmentation_s1_1_320.yaml
"""
TEMPLATE = """
cd training
# Copy and modify experiment configuration
cp experiment/lesion_segmentation/lesion_segmentation_template.yaml my_experiment.yaml
# Edit configuration as needed
# Start training
ml_framework train --config my_experiment.yaml
"""
DATASET = """
# Example dataset configuration
dataset:
    lesion_segmentation:
        path: "lesion_segmentation"
        crawler:
            name: segmentation_file
            params: {}
        driver: pillow
        pipeline:
            - name: shuffle
              params: {}
"""
PREPROCESS = """
preprocess:
    - name: load_segmentation_label
      target: [label]
      phase: [train, val, test]
    - name: alb.Resize
      params:
          width: 320
          height: 320
      target: [data, label]
      phase: [train, val, test]
    - name: to_gray
      target: [data]
      phase: [train, val, test]
"""
MODEL = """
model:
    name: UNET
    in_channels: 1
    out_channels: 1
    depth: 4
    features: 16
    out_activation: null
    last_activation: sigmoid
    use_batch_norm: True
    loss:
        name: DiceLoss
        params: {}
"""
TRAINER = """
trainer:
    name: "pytorch_lightning"
    epochs: 200
    log_every: 1
    val_every: 1
    gpus: 1
    precision: 32
    lr:
        init_value: 1e-3
    optimizer:
        name: Adam
        params: {}
    loader:
        batch_size: 64
        num_workers: 4
        pin_memory: true
"""
CALLBACKS = """
callbacks:
    - name: LearningRateMonitor
      params:
          logging_interval: epoch
    - name: ModelCheckpoint
      params:
          filename: "{epoch:03d}-{val_Dice:.6f}"
          save_top_k: 5
          mode: max
          monitor: val_Dice
    - name: SegmentationSampler
      params:
          image_amount: 3
"""
CUSTOM_MODEL = """
from ml_framework.base.model import BaseModel

class MyCustomModel(BaseModel):
    def __init__(self, **kwargs):
        super().__init__()
        # Model implementation
        self.layer = torch.nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x):
        # Forward pass
        output = self.layer(x)
        return output
"""
CUSTOM_LOSS = """
from ml_framework.base.loss import BaseLoss

class MyCustomLoss(BaseLoss):
    def forward(self, pred, target):
        # Loss calculation
        loss = (pred.sigmoid() - target).square().mean()
        return loss
"""
CUSTOM_STEP = """
from ml_framework.base.preprocess import BasePreprocess

class MyCustomAugmentation(BasePreprocess):
    def __call__(self, data):
        # Augmentation logic
        augmented_data = 255 - data
        return augmented_data
"""
CUSTOM_KEYS = """
model:
    name: MyCustomModel
    custom_param: value
"""
