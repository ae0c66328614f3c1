public import BatchEngine

extension DStream {
    /// Runs `body` with each batch's RDD, once per batch: an output operation.
    ///
    /// The body runs on an engine thread and may wait. Output operations of a batch run in
    /// declaration order unless several jobs may run at once.
    @inlinable
    @discardableResult
    public func foreachRDD(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (RDD<Element>) async throws -> Void
    ) -> OutputOperation {
        foreachRDD(file: file, line: line) { rdd, _ in try await body(rdd) }
    }

    /// ``foreachRDD(file:line:_:)`` with the batch time.
    @inlinable
    @discardableResult
    public func foreachRDD(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (RDD<Element>, BatchTime) async throws -> Void
    ) -> OutputOperation {
        let site = OperatorSite("foreachRDD", file: file, line: line)
        return output(site) { rdd, time, _ in
            try await DriverBody.run(of: site) { try await body(rdd, time) }
        }
    }

    /// Runs `body` once per partition of each batch, with the elements in bounded chunks.
    ///
    /// A task may run again when it failed: ``TaskContext`` holds batch, partition and attempt,
    /// by which a sink recognises what it has written.
    @inlinable
    @discardableResult
    public func foreachPartition(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (PartitionChunks<Element>, TaskContext) async throws -> Void
    ) -> OutputOperation {
        let site = OperatorSite("foreachPartition", file: file, line: line)
        let kernel = Frozen<Kernel>()
        return graph.addOutput(
            site, node: node,
            prepare: { [pipe] program in
                kernel.set(program.add { pipe().effectKernel(id: $0, site, body) })
            },
            makeJob: { time, plan, context in
                {
                    // Made for each try: it knows which one it is.
                    let request = context.batch.request(kernel.value, over: plan)
                    try await context.batch.engine.run(request) { _, _ in }
                }
            })
    }

    /// Prints the first `count` elements of each batch, and `...` when there are more, as Spark does:
    /// of a negative `count` nothing but that.
    ///
    /// Each batch's text is written to standard output in one piece.
    @inlinable
    @discardableResult
    public func print(
        _ count: Int = 10, file: String = #fileID, line: UInt = #line
    ) -> OutputOperation {
        output(OperatorSite("print", file: file, line: line)) { rdd, time, context in
            let taken = try await rdd.take(count == .max ? count : count + 1)
            context.standardOutput(printedBatch(taken.map { elementText($0) }, count, time))
        }
    }

    @inlinable
    func output(
        _ site: OperatorSite,
        _ body:
            @escaping @Sendable (RDD<Element>, BatchTime, GenerationContext) async throws -> Void
    ) -> OutputOperation {
        let input = DriverInput<Element>(site)
        return graph.addOutput(
            site, node: node, prepare: { [pipe] program in input.freeze(pipe(), &program) },
            makeJob: { time, plan, context in
                let rdd = input.rdd(plan, context.batch)
                return {
                    try await context.batch.engine.perform("\(site), batch \(time)") {
                        try await body(rdd, time, context)
                    }
                }
            })
    }
}

/// The text `print` writes for a batch.
@usableFromInline
func printedBatch(_ elements: [String], _ count: Int, _ time: BatchTime) -> String {
    let rule = "-------------------------------------------"
    var text = "\(rule)\nTime: \(time)\n\(rule)\n"
    for element in elements.prefix(max(0, count)) { text += element + "\n" }
    if elements.count > count { text += "...\n" }
    return text + "\n"
}
