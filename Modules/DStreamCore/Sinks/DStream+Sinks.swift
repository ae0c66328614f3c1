public import BatchEngine

extension DStream {
    /// Writes each batch into a transactional sink, exactly once: an output operation.
    ///
    /// Partitions are prepared by tasks, then all of them are committed together with the batch time.
    /// A batch that the sink holds already, because the program ended before its checkpoint said so,
    /// is neither computed nor written again. A batch without elements is committed as well; one for
    /// which the stream has no RDD is not.
    ///
    /// Two outputs cannot write to the same sink: `start()` throws, with both places. It throws also
    /// when the sink is in use by another program, and, in a run that does not resume from a
    /// checkpoint, when the sink holds batches of this run's time.
    @inlinable
    @discardableResult
    public func write<Sink: TransactionalSink>(
        to sink: Sink, file: String = #fileID, line: UInt = #line
    ) -> OutputOperation where Sink.Element == Element {
        let site = OperatorSite("write", file: file, line: line)
        let input = DriverInput<Element>(site)
        let output = SinkOutput(sink, site, slide: slideDuration)
        graph.addSink(output, node)
        return graph.addOutput(
            site, node: node,
            prepare: { [pipe] program in input.freeze(pipe(), &program) },
            makeJob: { time, plan, context in
                let engine = context.batch.engine
                let rdd = input.rdd(plan, context.batch)
                // The sink that was opened is the driver's, so partitions are prepared there.
                let kernel = rdd.pipe.resultKernel(id: .nextDynamic(), site) { elements, task in
                    try await sink.prepare(elements, task)
                }
                return {
                    // Made for each try: it knows which one it is.
                    let request = context.batch.request(kernel, over: rdd.plan)
                    try await engine.perform("\(site), batch \(time)") {
                        try await output.write(time, partitions: plan.partitionCount) { receive in
                            try await engine.run(request, receive: receive)
                        }
                    }
                }
            })
    }
}
