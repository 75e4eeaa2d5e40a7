"""The instruction-finetuning pipeline: rules call scripts, scripts call lib."""
