-- What the WSO2 route keeps in base A, beside `articles` and `article_tombstones` with their row versions.
-- After it: insert into lakeport_route (id, origin) values (1, 'base_a');

create table lakeport_route (
    id integer primary key check (id = 1),
    origin text not null,
    confirmed_version integer not null default 0,
    claimed_until integer not null default 0,
    batch_rows integer not null default 500,
    confirmed_at integer not null default 0
);

create table lakeport_counts (
    operation text not null,
    outcome text not null,
    rows integer not null,
    primary key (operation, outcome)
);

create table lakeport_parked (
    external_id text primary key,
    external_version integer not null,
    code text not null,
    detail text not null,
    parked_at text not null default (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);

create view lakeport_clock as select cast(strftime('%s', 'now') as integer) as seconds;

create view lakeport_lag as
select coalesce(max(0, cast(strftime('%s', 'now') as integer) - min(cast(strftime('%s', at) as integer))), 0) as seconds
from (
    select updated_at as at from articles where row_version > (select confirmed_version from lakeport_route)
    union all
    select deleted_at from article_tombstones where row_version > (select confirmed_version from lakeport_route)
);

-- Row versions are counted in the transaction that changes the row, and one writes at a time: none comes in late.
create view lakeport_next as
select id, row_version, 'upsert' as op, title, content from articles
where row_version > (select confirmed_version from lakeport_route)
union all
select id, row_version, 'delete', '', '' from article_tombstones
where row_version > (select confirmed_version from lakeport_route)
order by row_version
limit (select batch_rows from lakeport_route);

-- A text that has too many bytes for what the core takes is replaced by one that is as surely refused, so that no row
-- stops the route by its size. `substr` would end at a zero byte.
create view lakeport_sized as
select id, row_version, op,
    case when length(cast(title as blob)) > 4 * 200 then hex(zeroblob(200)) else title end as title,
    case when length(cast(content as blob)) > 4 * 100000 then hex(zeroblob(100000)) else content end as content
from lakeport_next;

create view lakeport_measured as
select *, sum(length(cast(content as blob)) + 1000) over (order by row_version) as bytes_so_far from lakeport_sized;

create view lakeport_batch as
select json_object('operations', json_group_array(json(operation))) as body, max(row_version) as last_version
from (
    select row_version, case op
        when 'delete' then json_object(
            'op', op, 'origin', origin, 'external_id', cast(changed.id as text), 'external_version', row_version)
        else json_object(
            'op', op, 'origin', origin, 'external_id', cast(changed.id as text), 'external_version', row_version,
            'title', title, 'content', content)
        end as operation
    from lakeport_measured as changed cross join lakeport_route
    where bytes_so_far <= 4000000
)
having count(*) > 0;

-- Insert what was sent and what was answered: the refused are parked and the confirmed version moves, in one statement.
create view lakeport_answers as select '' as sent, '' as answer where false;

create trigger lakeport_answered instead of insert on lakeport_answers
begin
    select raise(abort, 'the answer does not speak of each operation once')
    where not json_valid(coalesce(new.answer, '')) or (
        select count(*) <> json_array_length(new.sent, '$.operations')
            or count(distinct place) <> count(*) or min(place) <> 0 or max(place) <> count(*) - 1
            or coalesce(sum(outcome in ('created', 'updated', 'unchanged', 'stale', 'deleted')), 0) <> count(outcome)
        from (
            select json_extract(value, '$.index') as place, coalesce(json_extract(value, '$.outcome'), '') as outcome
            from json_each(new.answer, '$.data')
            union all
            select json_extract(value, '$.index'), null from json_each(new.answer, '$.errors')
        )
    );
    delete from lakeport_parked where external_id in (
        select json_extract(new.sent, '$.operations[' || json_extract(value, '$.index') || '].external_id')
        from json_each(new.answer, '$.data')
    );
    insert or replace into lakeport_parked (external_id, external_version, code, detail)
    select
        json_extract(new.sent, '$.operations[' || json_extract(value, '$.index') || '].external_id'),
        json_extract(new.sent, '$.operations[' || json_extract(value, '$.index') || '].external_version'),
        json_extract(value, '$.code'), json_extract(value, '$.detail')
    from json_each(new.answer, '$.errors');
    insert into lakeport_counts (operation, outcome, rows)
    select json_extract(new.sent, '$.operations[' || place || '].op'), outcome, count(*)
    from (
        select json_extract(value, '$.index') as place, json_extract(value, '$.outcome') as outcome
        from json_each(new.answer, '$.data')
        union all
        select json_extract(value, '$.index'), 'parked' from json_each(new.answer, '$.errors')
    )
    where true
    group by 1, 2
    on conflict (operation, outcome) do update set rows = rows + excluded.rows;
    update lakeport_route set
        claimed_until = 0,
        confirmed_at = (select seconds from lakeport_clock),
        batch_rows = min(500, 2 * batch_rows),
        confirmed_version = max(confirmed_version, (
            select max(json_extract(value, '$.external_version')) from json_each(new.sent, '$.operations')
        ));
end;

-- Insert a batch that the core refuses as a whole: it is halved until the row is alone that it is refused for.
create view lakeport_refusals as select '' as sent, '' as status where false;

create trigger lakeport_refused instead of insert on lakeport_refusals
begin
    insert or replace into lakeport_parked (external_id, external_version, code, detail)
    select
        json_extract(new.sent, '$.operations[0].external_id'),
        json_extract(new.sent, '$.operations[0].external_version'),
        'refused', 'the core answered ' || new.status
    where json_array_length(new.sent, '$.operations') = 1;
    insert into lakeport_counts (operation, outcome, rows)
    select json_extract(new.sent, '$.operations[0].op'), 'parked', 1
    where json_array_length(new.sent, '$.operations') = 1
    on conflict (operation, outcome) do update set rows = rows + 1;
    update lakeport_route set
        claimed_until = 0,
        batch_rows = max(1, json_array_length(new.sent, '$.operations') / 2),
        confirmed_version = case json_array_length(new.sent, '$.operations')
            when 1 then max(confirmed_version, json_extract(new.sent, '$.operations[0].external_version'))
            else confirmed_version end;
end;
