/// What is known of a batch's input from one stream.
public struct StreamInputInfo: Sendable, Hashable {
    /// The key of the metadata entry that user interfaces show.
    public static let descriptionKey = "Description"

    /// The stream.
    public let inputStreamID: StreamID
    /// The number of elements, 0 or more.
    public let recordCount: Int
    /// Facts about the input, such as file names or offset ranges, never elements.
    public let metadata: [String: String]

    /// The metadata entry that user interfaces show, if there is one.
    public var metadataDescription: String? { metadata[Self.descriptionKey] }

    /// Creates the information.
    ///
    /// - Parameters:
    ///   - inputStreamID: the stream.
    ///   - recordCount: the number of elements; below 0 counts as 0.
    ///   - metadata: facts about the input.
    public init(
        inputStreamID: StreamID, recordCount: Int, metadata: [String: String] = [:]
    ) {
        self.inputStreamID = inputStreamID
        self.recordCount = max(0, recordCount)
        self.metadata = metadata
    }
}

/// What is known of one output operation of a batch.
public struct OutputOperationInfo: Sendable, Hashable {
    /// The batch the operation belongs to.
    public let batchTime: BatchTime
    /// The number of the operation within the batch, from 0 in the order of declaration.
    public let id: Int
    /// A short name, such as `print`.
    public let name: String
    /// The place of the declaration, for people.
    public let description: String
    /// When the operation began to run, nil before.
    public let startTime: BatchTime?
    /// When the operation ended, nil before.
    public let endTime: BatchTime?
    /// Why the operation failed, nil if it did not.
    public let failureReason: String?

    /// How long the operation ran, nil until it has ended.
    public var duration: Duration? {
        guard let startTime, let endTime else { return nil }
        return endTime - startTime
    }

    /// Creates the information.
    ///
    /// - Parameters:
    ///   - batchTime: the batch the operation belongs to.
    ///   - id: the number of the operation within the batch.
    ///   - name: a short name.
    ///   - description: the place of the declaration.
    ///   - startTime: when it began to run.
    ///   - endTime: when it ended.
    ///   - failureReason: why it failed.
    public init(
        batchTime: BatchTime, id: Int, name: String, description: String,
        startTime: BatchTime? = nil, endTime: BatchTime? = nil, failureReason: String? = nil
    ) {
        self.batchTime = batchTime
        self.id = id
        self.name = name
        self.description = description
        self.startTime = startTime
        self.endTime = endTime
        self.failureReason = failureReason
    }
}

/// What is known of a batch when it is submitted, started or completed.
public struct BatchInfo: Sendable, Hashable {
    /// The time that identifies the batch.
    public let batchTime: BatchTime
    /// The input of the batch by stream; streams without input may be missing.
    public let streamIDToInputInfo: [StreamID: StreamInputInfo]
    /// When the batch's jobs were handed over to be run.
    public let submissionTime: BatchTime
    /// When the first job began to run, nil before.
    public let processingStartTime: BatchTime?
    /// When the last job ended, nil before.
    public let processingEndTime: BatchTime?
    /// The output operations of the batch by number.
    public let outputOperationInfos: [Int: OutputOperationInfo]

    /// How long the batch waited before its first job ran, nil before that.
    public var schedulingDelay: Duration? {
        processingStartTime.map { $0 - submissionTime }
    }

    /// How long the jobs ran, from the first start to the last end, nil before that.
    public var processingDelay: Duration? {
        guard let processingStartTime, let processingEndTime else { return nil }
        return processingEndTime - processingStartTime
    }

    /// How long the batch took from its submission to the last end, nil before that.
    public var totalDelay: Duration? {
        guard let schedulingDelay, let processingDelay else { return nil }
        return schedulingDelay + processingDelay
    }

    /// The number of elements of all streams together.
    public var recordCount: Int {
        streamIDToInputInfo.values.reduce(0) { sum, info in
            let (total, overflow) = sum.addingReportingOverflow(info.recordCount)
            return overflow ? .max : total
        }
    }

    /// Creates the information.
    ///
    /// - Parameters:
    ///   - batchTime: the time that identifies the batch.
    ///   - streamIDToInputInfo: the input by stream.
    ///   - submissionTime: when the jobs were handed over.
    ///   - processingStartTime: when the first job began.
    ///   - processingEndTime: when the last job ended.
    ///   - outputOperationInfos: the output operations by number.
    public init(
        batchTime: BatchTime, streamIDToInputInfo: [StreamID: StreamInputInfo],
        submissionTime: BatchTime, processingStartTime: BatchTime? = nil,
        processingEndTime: BatchTime? = nil,
        outputOperationInfos: [Int: OutputOperationInfo] = [:]
    ) {
        self.batchTime = batchTime
        self.streamIDToInputInfo = streamIDToInputInfo
        self.submissionTime = submissionTime
        self.processingStartTime = processingStartTime
        self.processingEndTime = processingEndTime
        self.outputOperationInfos = outputOperationInfos
    }
}
