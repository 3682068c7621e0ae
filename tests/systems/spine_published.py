"""An experiment and a data set in the form that such files are published in."""

ROOT = """
project_name: cord
directory: ../../_directory_ssd.yaml
model:
    name: UNET
    in_channels: 1
    depth: 4
    out_activation: null
    last_activation: sigmoid
    use_batch_norm: True
    pretrained: null
    loss:
        name: DiceLoss
        params: {}
data: ../../dataset/cord_s1_1_320.yaml
trainer:
    name: "pytorch_lightning"
    epochs: 200
    log_every: 1
    val_every: 1
    gpus: 1
    precision: 32
    lr:
        init_value: 1e-3
        scheduler:
            name: CosineLRScheduler
            params:
                cycle_decay: .025
    optimizer:
        name: AdamW
        params:
            weight_decay: "1e-4"
    loader:
        batch_size: 64
        num_workers: 4
        pin_memory: yes
        persistent_workers: true
    callbacks:
        - name: LearningRateMonitor
          params: {logging_interval: epoch}
        - name: SegmentationSampler
          params:
              image_amount: 3
              class_labels: {1: lesion}
metric:
    - name: torchmetrics.JaccardIndex
      alias: iou
      on_bar: true
      phase: [train, val]
      params: {task: binary, ml_type: segmentation}
"""
DATASET = """
dataset:
    cord:
        path: "cord"
        crawler:
            name: segmentation_file
            params: {}
        driver: pillow
        pipeline:
            - name: simple_sampling
              params: {n: 0.01, target: phase, shuffle: true}
preprocess:
    - name: load_segmentation_label
      target: [label]
      phase: [train, val, test]
    - name: alb.Resize
      params: {width: 320, height: 320}
      target: [data, label]
    - name: alb.Blur
      blur_limit: 3
      params: {p: 0.1}
      target: data
      phase: train
"""
