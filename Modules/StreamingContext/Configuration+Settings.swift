internal import DStreamCore

extension StreamingContext.Configuration {
    /// What a checkpoint says about the configuration, by Spark's keys where there is one.
    var settings: [String: String] {
        var settings = [
            "spark.task.maxFailures": "\(maxTaskFailures)",
            "spark.streaming.concurrentJobs": "\(concurrentJobs)",
            "spark.streaming.backpressure.enabled": "\(backpressure.isEnabled)",
            "spark.streaming.receiver.writeAheadLog.enable": "\(receiverWriteAheadLog.isEnabled)",
            "spark.streaming.stopGracefullyOnShutdown": "\(stopsGracefullyOnShutdown)",
            "spark.streaming.fileStream.minRememberDuration":
                "\(fileStreamMinimumRemember.milliseconds)ms",
            "failurePolicy": "\(failurePolicy)",
            "lateBatches": "\(lateBatches)",
            "fileStreamDetection": "\(fileStreamDetection)",
            "maxQueuedBatches": "\(maxQueuedBatches)",
            "checkpointSpacing": "\(checkpointSpacing.milliseconds)ms",
        ]
        settings["spark.default.parallelism"] = defaultParallelism.map { "\($0)" }
        settings["spark.streaming.blockInterval"] = blockInterval.map { "\($0.milliseconds)ms" }
        return settings
    }
}
