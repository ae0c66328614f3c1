package import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// How the files of a stream are read.
    package struct FileFormat<Element: Sendable>: Sendable {
        let pipe: @Sendable (OperatorSite) -> Pipe<Element>
        /// How many elements a file of so many bytes holds; nil: only reading tells.
        let recordCount: (@Sendable (Int) -> Int)?
    }

    /// The stream of the files that appear in the directories of `input`: one partition per file.
    ///
    /// The files are chosen when a batch is generated, and read by its tasks.
    package func fileStream<Element: Sendable>(
        _ input: FileInput, _ format: FileFormat<Element>, _ site: OperatorSite
    ) -> DStream<Element> {
        let id = addInput()
        var traits = StreamNode.Traits()
        traits.files = input
        let stream = DStream<Element>(
            self, site, parents: [], slide: batchInterval, traits: traits,
            pipe: { format.pipe(site) },
            compute: { node, batch, context in
                let chosen = try await input.files(
                    of: id, at: batch, isBegun: node.mayChoose(for: batch),
                    remembering: node.rememberDuration ?? .zero, site, context)
                let records = format.recordCount.map { count in
                    chosen.reduce(0) { $0 + count($1.byteCount) }
                }
                context.inputInfo.report(
                    StreamInputInfo(
                        inputStreamID: id, recordCount: records ?? 0,
                        metadata: [
                            StreamInputInfo.descriptionKey:
                                chosen.map(\.path).joined(separator: "\n")
                        ]), at: batch)
                return .source(chosen.map { [.values($0)] })
            })
        stream.node.setCapture(input.capture)
        return stream
    }

    /// Whether any input stream chooses what its batches read, or gives it once only.
    package var choosesInput: Bool {
        nodes.contains { $0.choosesParts || $0.traits.givesOnce }
    }

    /// Whether a stream whose choice for a batch is lost would choose for it anew: it would not if the
    /// checkpoint has what it chose for that batch, or for a later one.
    package func mayChooseAgain(_ stream: StreamID, for batch: BatchTime) -> Bool {
        let traits = inputNode(stream)?.traits
        let newest = traits?.files?.batches.last?.time ?? traits?.direct?.newestBatch
        return newest.map { batch > $0 } ?? true
    }

    /// The choice by which a stream that chooses gives nothing to a batch.
    package func emptyChoice(of stream: StreamID) throws -> InputChoice {
        if inputNode(stream)?.traits.direct != nil {
            return InputChoice(.offsets, try Codec<[OffsetRange]>.of().bytes(of: []))
        }
        return InputChoice(.markedFiles, try [ChosenFile]().encoded())
    }

    /// Lets file streams look what is there before the first batch; after ``restoreState(_:of:)``.
    package func beginFileInputs(on engine: any ExecutionEngine) async throws {
        let inputs = nodes.compactMap { node in node.traits.files.map { ($0, node.site) } }
        if inputs.isEmpty { return }
        try await engine.perform("files at the start") {
            try FileInput.refuseExchanged(inputs)
            for (input, _) in inputs { input.begin() }
        }
    }

    /// The file streams: what the batches they remember have read.
    package var fileInputs: [FileInput] { nodes.compactMap(\.traits.files) }
}

extension FileInput {
    /// The files of a batch: those that are known to be its own, or chosen and kept now.
    ///
    /// - Parameter isBegun: whether it may still choose; if not, the next batch takes what there is.
    fileprivate func files(
        of stream: StreamID, at batch: BatchTime, isBegun: Bool, remembering: Duration,
        _ site: OperatorSite, _ context: GenerationContext
    ) async throws -> [FileSlice] {
        let files = Locked<[FileSlice]>([])
        // Directories can be slow, or hang: not on a thread that others need. All at once: a choice
        // that is kept and not settled would be made again by the next batch.
        try await context.batch.engine.perform("\(site), files of batch \(batch)") {
            let found =
                context.isReading
                ? self.remembered(at: batch)
                : try await self.choosing(
                    of: stream, at: batch, isBegun: isBegun, remembering: remembering,
                    context.choices)
            files.withLock { $0 = found }
        }
        return files.withLock { $0 }
    }

    /// Chooses, keeps the choice and settles it; blocks the thread.
    private func choosing(
        of stream: StreamID, at batch: BatchTime, isBegun: Bool, remembering: Duration,
        _ choices: (any InputChoices)?
    ) async throws -> [FileSlice] {
        let earlier = await choices?.choice(of: stream, for: batch)
        guard
            let selected = selecting(
                at: batch, isBegun: isBegun, earlier: try earlier?.chosenFiles,
                remembering: remembering)
        else { return [] }
        if earlier == nil, let choices {
            let chosen = try (selected.selection.files(of: batch) ?? []).encoded()
            try await choices.keep(InputChoice(.markedFiles, chosen), of: stream, for: batch)
        }
        return settle(selected, at: batch).filter { earlier?.skips($0.path) != true }
    }
}

extension DStreamGraph.FileFormat {
    /// Lines of UTF-8 text.
    package static func lines() -> Self where Element == String {
        Self(pipe: { FileReading.lines($0) }, recordCount: nil)
    }

    /// Lines of UTF-8 text, each behind the number of the byte where it begins.
    package static func offsetLines() -> Self where Element == (Int, String) {
        Self(pipe: { FileReading.offsetLines($0) }, recordCount: nil)
    }

    /// Records of `length` bytes, at least 1.
    package static func records(of length: Int) -> Self where Element == [UInt8] {
        let length = max(1, length)
        return Self(
            pipe: { FileReading.records(of: length, $0) }, recordCount: { $0 / length })
    }
}
